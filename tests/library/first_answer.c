/* Prints what a load and a first answer take: milliseconds, KB of memory more than before, KB of the process. */
#define _POSIX_C_SOURCE 200809L
#include <binarynet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The largest resident memory so far, KB; of this process alone, not of the one that started it. */
static long peak(void) {
    char line[256];
    long kilobytes = 0;
    FILE* status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof(line), status)) sscanf(line, "VmHWM: %ld", &kilobytes);
    if (status) fclose(status);
    return kilobytes;
}

int main(int argc, char** argv) {
    static unsigned char image[1 << 20];
    static float answer[1 << 12];
    struct timespec begin, end;
    bnn_options options = BNN_OPTIONS;
    bnn_model* model;
    FILE* file = fopen(argv[argc - 1], "rb");
    long before;
    if (argc != 3 || !file || !fread(image, 1, sizeof(image), file)) return 2;
    options.threads = 1;
    before = peak();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (bnn_load(argv[1], &options, &model) || bnn_run(model, image, 1, answer)) {
        fprintf(stderr, "%s\n", bnn_error());
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.3f %ld %ld\n", (end.tv_sec - begin.tv_sec) * 1e3 + (end.tv_nsec - begin.tv_nsec) / 1e6,
           peak() - before, peak());
    bnn_free(model);
    return 0;
}
