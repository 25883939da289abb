/* Classifies raw images: NET_INPUTS bytes as net.h says, one image behind the other.
 *
 *     net [--logits | --rate] [FILE]        without FILE, from standard input
 *
 * Prints a line for each image: the number of its class, and its name if it has one; with --logits its answers. With
 * --rate it prints how many images a second one core does, of processor time, without reading and printing.
 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef NET_NAMES
static const char *const names[NET_OUTPUTS] = NET_NAMES;
#endif

static void rate(const net_input *images, long count, net_output *logits, net_memory *memory)
{
    double best = 0;
    for (int run = 0; run < 5; run++) {
        long done = 0;
        const clock_t begin = clock();
        clock_t end;
        do {
            net_logits(images, count, logits, memory);
            done += count;
            end = clock();
        } while (end - begin < CLOCKS_PER_SEC / 4);
        const double found = (double)done * CLOCKS_PER_SEC / (double)(end - begin);
        best = found > best ? found : best;
    }
    printf("%.0f\n", best);
}

int main(int count, char **arguments)
{
    const int all = count > 1 && strcmp(arguments[1], "--logits") == 0;
    const int timed = count > 1 && strcmp(arguments[1], "--rate") == 0;
    const char *const path = count > 1 + (all | timed) ? arguments[1 + (all | timed)] : NULL;
    FILE *const file = path ? fopen(path, "rb") : stdin;
    net_memory *const memory = net_new();
    size_t room = 1024 * NET_INPUTS, size = 0, read;
    net_input *images = malloc(room);
    if (!file) {
        perror(path);
        return 1;
    }
    while (images && (read = fread(images + size, 1, room - size, file)) > 0) {
        size += read;
        if (size == room) {
            net_input *const more = realloc(images, room *= 2);
            if (!more)
                free(images);
            images = more;
        }
    }
    const long whole = (long)(size / NET_INPUTS);
    net_output *const logits = malloc(((size_t)whole + 1) * NET_OUTPUTS * sizeof *logits);
    if (!images || !logits || !memory) {
        fprintf(stderr, "net: not enough memory\n");
        return 1;
    }
    if (timed && whole > 0) {
        rate(images, whole, logits, memory);
    } else {
        net_logits(images, whole, logits, memory);
        for (long image = 0; image < whole; image++) {
            const net_output *const mine = logits + image * NET_OUTPUTS;
            const int32_t best = net_argmax(mine);
            printf("%ld", (long)best);
            for (int c = 0; all && c < NET_OUTPUTS; c++)
                printf(" %.10g", (double)mine[c]); /* any int32_t and any float comes back whole */
#ifdef NET_NAMES
            if (!all)
                printf(" %s", names[best]);
#endif
            printf("\n");
        }
    }
    free(images);
    free(logits);
    net_free(memory);
    if (ferror(file) || size % NET_INPUTS) {
        fprintf(stderr, "net: the last image is not whole: it has %lu bytes\n", (unsigned long)(size % NET_INPUTS));
        return 1;
    }
    return fflush(stdout) != 0;
}
