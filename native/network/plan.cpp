// How runs are cut up, where their values lie, and what is expected of them.
#include <algorithm>

#include "base/memory.h"
#include "network.h"

namespace binarynet {

namespace {

constexpr size_t kChunkBytes = 1 << 20;  // of a chunk of images, what outlives a stage included
constexpr size_t kChunkImages = 512;     // as many rows as a word of the bitsliced kernels
// From so many images a thread on, threads take images each for themselves instead of sharing every layer.
constexpr size_t kImagesPerThread = 8;

}  // namespace

void Network::plan_memory() {
    schedule_ = Schedule(steps_, values_, roots_, input_, root(output_));
    image_bytes_ = schedule_.place(1, 1, nullptr);
    chunk_images_ = kChunkImages;
    while (chunk_images_ > 1 && schedule_.place(chunk_images_, 1, nullptr) > kChunkBytes)
        chunk_images_ -= (chunk_images_ + 3) / 4;
}

Network::Chunks Network::chunks(size_t images) const {
    const bool by_image = threads_ > 1 && images >= kImagesPerThread * static_cast<size_t>(threads_);
    const size_t workers = by_image ? static_cast<size_t>(threads_) : 1;
    // Equal chunks, and as many for each thread.
    const size_t count = round_up((images + chunk_images_ - 1) / chunk_images_, workers);
    return {count, (images + count - 1) / count, workers, by_image ? 1 : threads_};
}

std::vector<Network::Planned> Network::plan(size_t images) const {
    const Chunks cut = chunks(std::max<size_t>(images, 1));
    std::vector<Planned> list;
    for (const Schedule::Stage& stage : schedule_.stages()) {
        const size_t parts = schedule_.parts(stage, cut.most, cut.threads);
        const Frame frame{kernels_, weight_bytes_, (cut.most + parts - 1) / parts, cut.threads};
        const auto runs = static_cast<double>(cut.count * parts);
        for (size_t i = stage.begin; i < stage.end; ++i) {
            const Step& step = *steps_[i];
            list.push_back({step.op(),
                            step.kernel(frame),
                            step.nanoseconds(frame) * 1e-9 * runs / static_cast<double>(cut.workers),
                            step.weight_bytes(),
                            step.work(frame),
                            {}});
            for (double& amount : list.back().work.amount) amount *= runs;
            for (const auto& [op, into] : fused_)
                if (into == step.op()) list.back().fused.push_back(op);
        }
    }
    return list;
}

}  // namespace binarynet
