// Classifies images of noise and says whether this board answers what the model does.
#include <net.h>

#include "net_images.h"

static net_arena arena;

void setup()
{
    Serial.begin(115200);
    const unsigned long start = micros();
    const int32_t right = net_right_of(&arena);
    Serial.print(right);
    Serial.print(" of ");
    Serial.print(NET_IMAGES);
    Serial.print(" right; microseconds each: ");
    Serial.println((micros() - start) / NET_IMAGES);
}

void loop() {}
