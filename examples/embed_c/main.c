/* Classify images, one after the other, as they would come from a camera.
 *
 *     embed_c MODEL.bnn IMAGES SKIP [ANSWERS]
 *
 * IMAGES: images as the model reads them, behind the first SKIP bytes. Prints how many there were of each class;
 * ANSWERS takes the numbers of the answers, raw. */
#include <binarynet.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what, const char* why) {
    fprintf(stderr, "embed_c: %s: %s\n", what, why);
    return 2;
}

int main(int argc, char** argv) {
    bnn_model* model;
    const bnn_value *in, *out;
    void *image, *answer;
    size_t i, class_of, *found;
    FILE *images, *answers = NULL;

    if (argc < 4) return fail("usage", "embed_c MODEL.bnn IMAGES SKIP [ANSWERS]");
    if (bnn_load(argv[1], NULL, &model)) return fail("load", bnn_error());
    in = bnn_inputs(model);
    out = bnn_outputs(model);
    image = malloc(in->bytes);
    answer = malloc(out->bytes);
    found = calloc(out->numbers, sizeof(*found));
    images = fopen(argv[2], "rb");
    if (!images || fseek(images, atol(argv[3]), SEEK_SET)) return fail(argv[2], "cannot be read");
    if (argc > 4 && !(answers = fopen(argv[4], "wb"))) return fail(argv[4], "cannot be written");
    if (!image || !answer || !found) return fail("memory", "there is not enough");

    while (fread(image, in->bytes, 1, images) == 1) {
        if (bnn_run(model, image, 1, answer)) return fail("run", bnn_error());
        if (bnn_classify(model, image, 1, &class_of)) return fail("classify", bnn_error());
        ++found[class_of];
        if (answers && fwrite(answer, out->bytes, 1, answers) != 1) return fail(argv[4], "cannot be written");
    }
    for (i = 0; i < out->numbers; ++i) {
        const char* name = bnn_class_name(model, i);
        printf("%lu  %s\n", (unsigned long)found[i], name ? name : "");
    }
    if (answers && fclose(answers)) return fail(argv[4], "cannot be written");
    fclose(images);
    free(found);
    free(answer);
    free(image);
    bnn_free(model);
    return 0;
}
