/* The reference for capture: copies pipes or terminals to files with epoll, read and write, and does nothing else.
 *
 *     pipe_copier FD PATH [FD PATH ...]
 *
 * Ends when all of them have ended. Exit status 0: every byte was written; 1: the message says what failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, EVENTS = 64 };

static char buffer[BUFFER];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void write_all(int fd, const char *data, ssize_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, (size_t)size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            die("write");
        data += written;
        size -= written;
    }
}

int main(int argc, char **argv)
{
    int living = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("epoll_create1");
    for (int i = 1; i + 1 < argc; i += 2) {
        int pipe = atoi(argv[i]);
        int file = open(argv[i + 1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (file < 0)
            die(argv[i + 1]);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)pipe << 32 | (uint32_t)file};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, pipe, &event) < 0)
            die("epoll_ctl");
        living++;
    }
    while (living > 0) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            int pipe = (int)(events[i].data.u64 >> 32), file = (int)(uint32_t)events[i].data.u64;
            ssize_t size = read(pipe, buffer, BUFFER);
            if (size < 0 && errno == EIO) /* the end of a terminal */
                size = 0;
            if (size < 0)
                die("read");
            write_all(file, buffer, size);
            if (size == 0) {
                close(pipe);
                close(file);
                living--;
            }
        }
    }
    return 0;
}
