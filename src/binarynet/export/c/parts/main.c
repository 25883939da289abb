/* Classifies raw images: NET_INPUTS numbers as net.h says, one image behind the other.
 *
 *     net [--logits] [FILE]        without FILE, from standard input
 *
 * Prints a line for each image: the number of its class, and its name if it has one; with --logits its answers.
 */
#include "net.h"

#include <stdio.h>
#include <string.h>

#ifdef NET_NAMES
static const char *const names[NET_OUTPUTS] = NET_NAMES;
#endif
static net_input image[NET_INPUTS];
static net_output logits[NET_OUTPUTS];
static net_arena arena;

int main(int count, char **arguments)
{
    const int all = count > 1 && strcmp(arguments[1], "--logits") == 0;
    const char *const path = count > 1 + all ? arguments[1 + all] : NULL;
    FILE *const file = path ? fopen(path, "rb") : stdin;
    size_t read;
    if (!file) {
        perror(path);
        return 1;
    }
    while ((read = fread(image, 1, sizeof image, file)) == sizeof image) {
        if (all)
            net_logits(image, logits, &arena);
        const int32_t best = all ? net_argmax(logits) : net_class(image, &arena);
        printf("%ld", (long)best);
        for (int32_t c = 0; all && c < NET_OUTPUTS; c++)
            printf(" %.10g", (double)logits[c]); /* any int32_t and any float comes back whole */
#ifdef NET_NAMES
        if (!all)
            printf(" %s", names[best]);
#endif
        printf("\n");
    }
    if (ferror(file) || read > 0) {
        fprintf(stderr, "net: the last image is not whole: it has %lu bytes\n", (unsigned long)read);
        return 1;
    }
    return fflush(stdout) != 0;
}
