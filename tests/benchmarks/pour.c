/* Prints BLOCKS blocks of 8 KiB as fast as it can, one write for each: deterministic text, no two blocks alike.
 *
 *     pour WORKER BLOCKS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 8 * 1024, HALF = BLOCK / 2, LINE = 64 };

static char block[BLOCK];

static void stamp(char *at, int worker, long number, long blocks)
{
    char line[LINE + 1];
    int size = snprintf(line, sizeof line, "worker %02d: %3ld%% done, block %012ld", worker, number * 100 / blocks, number);
    memcpy(at, line, (size_t)size);
}

int main(int argc, char **argv)
{
    int worker = argc > 1 ? atoi(argv[1]) : 0;
    long blocks = argc > 2 ? atol(argv[2]) : 1;
    for (int at = 0; at < BLOCK; at += LINE) {
        char line[LINE + 1];
        int size = snprintf(line, sizeof line, "[%04d] checked src/module_%02d/file_%03d.c in %d ms", at, worker, at / LINE, at % 89);
        memset(block + at, ' ', LINE);
        memcpy(block + at, line, (size_t)size);
        block[at + LINE - 1] = '\n';
    }
    for (long number = 0; number < blocks; number++) {
        stamp(block, worker, number, blocks);
        stamp(block + HALF, worker, number, blocks);
        for (int done = 0; done < BLOCK;) {
            ssize_t written = write(1, block + done, (size_t)(BLOCK - done));
            if (written < 0)
                return 1;
            done += (int)written;
        }
    }
    return 0;
}
