/* Classifies images of noise and says whether this board answers what the model does. */
#include <net.h>

#include "net_images.h"

#include <stdio.h>

void app_main(void);

static net_arena arena;

void app_main(void) { printf("%d of %d right\n", (int)net_right_of(&arena), NET_IMAGES); }
