// What a TAP device costs a frame by read and write, a system call each, and by io_uring, a system call for a batch. One thread, as root,
// without the stack:   cc -O2 -o tap-uring bench/links/tap-uring.c && ./tap-uring [BYTES [BATCH]]
// The device lies in a namespace of its own. Written frames are for another station, so the kernel drops them first thing; frames to read come
// from a packet socket and wait in the device's queue before the clock starts. Prints processor time a frame, medians of rounds in alternation.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { Rounds = 101, Frames = 480, HeaderBytes = sizeof(struct virtio_net_hdr), Buffers = 64, BufferBytes = 2048 };

static char buffers[Buffers][BufferBytes];
static unsigned batch = 32, bytes = 64;
static int tap, sender, ring;
static unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;

static void must(int ok, const char *what) { if (!ok) { perror(what); exit(1); } }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void open_devices(void) {
    must(unshare(CLONE_NEWNET) == 0, "unshare");
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    strcpy(request.ifr_name, "tu0");
    must((tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK)) >= 0 && ioctl(tap, TUNSETIFF, &request) == 0, "tun");
    must((sender = socket(AF_PACKET, SOCK_RAW, 0)) >= 0, "packet socket");
    request.ifr_flags = IFF_UP;
    must(ioctl(sender, SIOCSIFFLAGS, &request) == 0, "up");
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("tu0") };
    must(bind(sender, (struct sockaddr *)&to, sizeof to) == 0, "bind");
}

static void open_ring(void) {
    struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN };
    must((ring = syscall(SYS_io_uring_setup, Buffers, &p)) >= 0, "io_uring_setup");
    char *sq = mmap(0, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    char *cq = mmap(0, p.cq_off.cqes + p.cq_entries * sizeof *cqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
    sqes = mmap(0, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    must(sq != MAP_FAILED && cq != MAP_FAILED && sqes != MAP_FAILED, "mmap");
    sq_tail = (void *)(sq + p.sq_off.tail); sq_mask = (void *)(sq + p.sq_off.ring_mask); sq_array = (void *)(sq + p.sq_off.array);
    cq_head = (void *)(cq + p.cq_off.head); cq_tail = (void *)(cq + p.cq_off.tail); cq_mask = (void *)(cq + p.cq_off.ring_mask);
    cqes = (void *)(cq + p.cq_off.cqes);
    must(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &tap, 1) == 0, "files");
    struct iovec vectors[Buffers];
    for (int i = 0; i < Buffers; i++) vectors[i] = (struct iovec){ buffers[i], BufferBytes };
    must(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, vectors, Buffers) == 0, "buffers");
}

// A batch of reads or writes by one call; how many moved a frame.
static unsigned by_ring(int reads) {
    unsigned tail = *sq_tail, moved = 0;
    for (unsigned i = 0; i < batch; i++, tail++) {
        struct io_uring_sqe *e = &sqes[tail & *sq_mask];
        memset(e, 0, sizeof *e);
        e->opcode = reads ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
        e->flags = IOSQE_FIXED_FILE;
        e->rw_flags = RWF_NOWAIT;
        e->addr = (unsigned long)buffers[i];
        e->len = reads ? BufferBytes : HeaderBytes + bytes;
        e->buf_index = i;
        sq_array[tail & *sq_mask] = tail & *sq_mask;
    }
    __atomic_store_n(sq_tail, tail, __ATOMIC_RELEASE);
    must(syscall(SYS_io_uring_enter, ring, batch, batch, IORING_ENTER_GETEVENTS, 0, 0) == (int)batch, "enter");
    unsigned head = *cq_head, end = __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE);
    for (; head != end; head++) moved += cqes[head & *cq_mask].res > 0;
    __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
    return moved;
}

static unsigned by_calls(int reads) {
    unsigned moved = 0;
    for (unsigned i = 0; i < batch; i++) moved += (reads ? read(tap, buffers[i], BufferBytes) : write(tap, buffers[i], HeaderBytes + bytes)) > 0;
    return moved;
}

static double round_of(unsigned (*move)(int), int reads) {
    for (unsigned i = 0; i < Buffers; i++) {
        memset(buffers[i], 0, BufferBytes);
        memcpy(buffers[i] + HeaderBytes, "\2\0\0\0\0\7\2\0\0\0\0\10\x88\xB5", 14);
    }
    if (reads) for (int i = 0; i < Frames; i++) must(send(sender, buffers[0] + HeaderBytes, bytes, 0) > 0, "send");
    unsigned moved = 0;
    double began = now();
    while (moved < Frames) {
        unsigned n = move(reads);
        if (n == 0) break;
        moved += n;
    }
    double took = now() - began;
    must(moved == Frames, "frames were lost");
    return took / Frames;
}

static int order(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

int main(int count, char **words) {
    if (count > 1) bytes = atoi(words[1]);
    if (count > 2) batch = atoi(words[2]);
    if (bytes < 60 || bytes > 1514 || batch < 1 || batch > Buffers || Frames % batch != 0) { fprintf(stderr, "60 to 1514 bytes; a batch that divides %d, up to %d\n", Frames, Buffers); return 2; }
    open_devices();
    open_ring();
    for (int reads = 0; reads < 2; reads++) {
        double calls[Rounds], rings[Rounds];
        for (int i = 0; i < Rounds; i++) { calls[i] = round_of(by_calls, reads); rings[i] = round_of(by_ring, reads); }
        qsort(calls, Rounds, sizeof *calls, order);
        qsort(rings, Rounds, sizeof *rings, order);
        printf("%s, %u bytes, %u at a time: %.0f ns a frame by a call each, %.0f by io_uring\n", reads ? "read" : "write", bytes, batch, calls[Rounds / 2], rings[Rounds / 2]);
    }
}
