/* Prints COUNT lines, one each INTERVAL milliseconds, the first after DELAY: the time of the write, CLOCK_MONOTONIC in ns.
 *
 *     tick COUNT INTERVAL DELAY
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const long SECOND = 1000000000L;

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1;
    long interval = (argc > 2 ? atol(argv[2]) : 10) * 1000000L;
    long delay = (argc > 3 ? atol(argv[3]) : 0) * 1000000L;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long due = now.tv_sec * SECOND + now.tv_nsec + delay;
    for (long number = 0; number < count; number++, due += interval) {
        struct timespec until = {.tv_sec = due / SECOND, .tv_nsec = due % SECOND};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
        char line[32];
        clock_gettime(CLOCK_MONOTONIC, &now);
        int size = snprintf(line, sizeof line, "%ld\n", now.tv_sec * SECOND + now.tv_nsec);
        if (write(1, line, (size_t)size) != size)
            return 1;
    }
    return 0;
}
