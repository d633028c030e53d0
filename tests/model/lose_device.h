// model/lose_device.h: a device that is lost at the n-th submission, as drivers report it, and
// stays so. Linked with -Wl,--wrap= for the functions that lose_device.c wraps.
#ifndef VKLM_TESTS_LOSE_DEVICE_H
#define VKLM_TESTS_LOSE_DEVICE_H

// Submissions from now on until the device is lost, and from there until it is lost again; 0:
// never.
//
// In a program VKLM_TEST_LOSE="4" or "4,2" in the environment says it: the count begins when a
// session is made, and once more when a session is restored.
extern unsigned vklm_test_lose_after[2];

#endif
