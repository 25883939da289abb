#pragma once
#include "word.h"

/* A window that slides over an image of height x width pixels, of which `kept` rows are in memory: row y lies where row
 * y % kept has its place. A product sees the channels of one group at a time. */
typedef struct {
    int32_t height, width, channels, group_channels, kept;
    int32_t kernel_height, kernel_width;
    int32_t stride_down, stride_right;
    int32_t dilation_down, dilation_right;
    int32_t top, left; /* padding */
} window;
