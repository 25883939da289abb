/* A program of your own around an exported network: link it with net.o.
 *
 * Reads one image in the order height, width, channels from standard input and prints its class. All memory is static.
 */
#include "net.h"

#include <stdio.h>

static net_input image[NET_INPUTS];
static net_output logits[NET_OUTPUTS];
static net_arena arena; /* NET_ARENA_BYTES; may lie anywhere, and be used for other things between runs */

int main(void)
{
    if (fread(image, sizeof *image, NET_INPUTS, stdin) != NET_INPUTS)
        return 1;
    net_logits(image, logits, &arena);
    printf("%ld\n", (long)net_argmax(logits));
    return 0;
}
