#pragma once

/* x * y, rounded to float before anything is added to it: volatile keeps the compiler from fusing the two. */
static float multiply(float x, float y)
{
    const volatile float product = x * y;
    return product;
}
