/* Images of noise and the classes that the model gives them, so that a board can prove that it answers the same. */
#ifndef NET_IMAGES_H
#define NET_IMAGES_H

#include <net.h>

#ifdef __AVR__ /* where constants would be copied to RAM */
#include <avr/pgmspace.h>
#define NET_IN_FLASH PROGMEM
#define NET_COPY memcpy_P
#else
#include <string.h>
#define NET_IN_FLASH
#define NET_COPY memcpy
#endif

IMAGES

/* How many of them get their class here. */
static int32_t net_right_of(net_arena *arena)
{
    static net_input image[NET_INPUTS];
    int32_t right = 0;
    for (int32_t k = 0; k < NET_IMAGES; k++) {
        NET_COPY(image, net_images[k], sizeof image);
        right += net_class(image, arena) == net_classes[k];
    }
    return right;
}

#endif
