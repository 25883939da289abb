/* Classifies images of noise and says whether this board answers what the model does. */
#include <net.h>

#include "net_images.h"

#include <stdio.h>

static net_arena arena;

int main(void)
{
    printf("%d of %d right\n", (int)net_right_of(&arena), NET_IMAGES);
    return 0;
}
