// Classifies images of noise and says whether this board answers what the model does.
#include <net.h>

#include "net_images.h"

static net_arena arena;

#ifdef ARDUINO
#include <Arduino.h>

void setup()
{
    Serial.begin(115200);
    Serial.print(net_right_of(&arena));
    Serial.print(" of ");
    Serial.print(NET_IMAGES);
    Serial.println(" right");
}

void loop() {}
#else
#include <cstdio>

int main()
{
    std::printf("%d of %d right\n", (int)net_right_of(&arena), NET_IMAGES);
    return 0;
}
#endif
