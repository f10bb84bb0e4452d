// What a received frame costs a process over AF_PACKET: recvmmsg into chunks, as Peregrine does it, or TPACKET_V2 or V3 with a copy out of the ring
// into a chunk, since a frame has to leave the ring before its place is given back. Not part of the library.
//   cc -O2 -o packet-rings bench/links/packet-rings.c
//   packet-rings send IF SECONDS BYTES | mmsg IF SECONDS | v2 IF SECONDS | v3 IF SECONDS
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 32, CHUNK = 2048, CHUNKS = 4096, BLOCK = 1 << 20, BLOCKS = 8, SPILL = 65557, HEADER = 10 };

static char chunks[CHUNKS][CHUNK], headers[BATCH][16], spill[BATCH][SPILL];
static long frames, bytes, calls;

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static void need(int result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(1);
}

static int open_on(const char *name, int protocol) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = if_nametoindex(name)};
  int s = socket(AF_PACKET, SOCK_RAW, 0), size = 8 << 20, one = 1;
  need(s, "socket");
  setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  need(setsockopt(s, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one), "PACKET_VNET_HDR");
  if (protocol == 0) return s;
  need(bind(s, (struct sockaddr *)&address, sizeof address), "bind");
  return s;
}

static void send_frames(const char *name, double duration, int size) {
  struct mmsghdr messages[BATCH] = {0};
  struct iovec vectors[BATCH];
  int s = open_on(name, ETH_P_ALL);
  for (int i = 0; i < BATCH; i++) {
    // An empty virtio header; unicast addresses, and a type for experiments.
    memset(chunks[i], 0, HEADER + size);
    memcpy(chunks[i] + HEADER, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x88\xb5", 14);
    vectors[i] = (struct iovec){chunks[i], HEADER + size};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  for (double end = seconds(CLOCK_MONOTONIC) + duration; seconds(CLOCK_MONOTONIC) < end;) {
    int n = sendmmsg(s, messages, BATCH, 0);
    if (n > 0) frames += n;
  }
}

static void wait_for(int s) {
  calls++;
  poll(&(struct pollfd){s, POLLIN, 0}, 1, 100);
}

static void receive_mmsg(const char *name, double duration) {
  struct mmsghdr messages[BATCH] = {0};
  struct iovec vectors[BATCH][3];
  int s = open_on(name, ETH_P_ALL), next = 0;
  for (double end = seconds(CLOCK_MONOTONIC) + duration; seconds(CLOCK_MONOTONIC) < end;) {
    for (int i = 0; i < BATCH; i++) {
      vectors[i][0] = (struct iovec){headers[i], HEADER};
      vectors[i][1] = (struct iovec){chunks[(next + i) % CHUNKS], CHUNK};
      vectors[i][2] = (struct iovec){spill[i], SPILL};
      messages[i].msg_hdr = (struct msghdr){.msg_iov = vectors[i], .msg_iovlen = 3};
    }
    int n = recvmmsg(s, messages, BATCH, MSG_DONTWAIT, 0);
    calls++;
    if (n <= 0) {
      wait_for(s);
      continue;
    }
    for (int i = 0; i < n; i++) bytes += messages[i].msg_len - HEADER;
    frames += n;
    next += n;
  }
}

static void bind_to(int s, const char *name) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(name)};
  need(bind(s, (struct sockaddr *)&address, sizeof address), "bind");
}

static char *map_ring(int s, int version, void *ring, int size) {
  need(setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof version), "PACKET_VERSION");
  need(setsockopt(s, SOL_PACKET, PACKET_RX_RING, ring, size), "PACKET_RX_RING");
  char *memory = mmap(0, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
  need(memory == MAP_FAILED ? -1 : 0, "mmap");
  return memory;
}

static void take(const char *from, unsigned length, unsigned whole) {
  memcpy(chunks[frames++ % CHUNKS], from, length < CHUNK ? length : CHUNK);
  bytes += whole;
}

// A slot a frame; what is longer than a slot would be read by recvmsg (PACKET_COPY_THRESH), which is left out here.
static void receive_v2(const char *name, double duration) {
  int s = open_on(name, 0), next = 0;
  struct tpacket_req ring = {.tp_block_size = BLOCK, .tp_block_nr = BLOCKS, .tp_frame_size = CHUNK, .tp_frame_nr = BLOCK / CHUNK * BLOCKS};
  char *memory = map_ring(s, TPACKET_V2, &ring, sizeof ring);
  bind_to(s, name);
  for (double end = seconds(CLOCK_MONOTONIC) + duration; seconds(CLOCK_MONOTONIC) < end;) {
    struct tpacket2_hdr *frame = (void *)(memory + (size_t)next * CHUNK);
    if (!(__atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
      wait_for(s);
      continue;
    }
    for (int i = 0; i < BATCH && __atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER; i++) {
      take((char *)frame + frame->tp_mac, frame->tp_snaplen, frame->tp_len);
      __atomic_store_n(&frame->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
      next = (next + 1) % (int)ring.tp_frame_nr;
      frame = (void *)(memory + (size_t)next * CHUNK);
    }
  }
}

static void receive_v3(const char *name, double duration) {
  int s = open_on(name, 0), next = 0;
  // A block comes when it is full or after a millisecond, the shortest that can be asked for.
  struct tpacket_req3 ring = {.tp_block_size = BLOCK, .tp_block_nr = BLOCKS, .tp_frame_size = CHUNK, .tp_frame_nr = BLOCK / CHUNK * BLOCKS, .tp_retire_blk_tov = 1};
  char *memory = map_ring(s, TPACKET_V3, &ring, sizeof ring);
  bind_to(s, name);
  for (double end = seconds(CLOCK_MONOTONIC) + duration; seconds(CLOCK_MONOTONIC) < end; next = (next + 1) % BLOCKS) {
    struct tpacket_block_desc *block = (void *)(memory + (size_t)next * BLOCK);
    while (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
      wait_for(s);
      if (seconds(CLOCK_MONOTONIC) >= end) return;
    }
    struct tpacket3_hdr *frame = (void *)((char *)block + block->hdr.bh1.offset_to_first_pkt);
    for (unsigned i = 0; i < block->hdr.bh1.num_pkts; i++) {
      take((char *)frame + frame->tp_mac, frame->tp_snaplen, frame->tp_len);
      frame = (void *)((char *)frame + frame->tp_next_offset);
    }
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  }
}

int main(int count, char **words) {
  if (count < 4) return fprintf(stderr, "usage: packet-rings send IF SECONDS BYTES | mmsg|v2|v3 IF SECONDS\n"), 2;
  double start = seconds(CLOCK_MONOTONIC), duration = atof(words[3]);
  if (!strcmp(words[1], "send")) send_frames(words[2], duration, count > 4 ? atoi(words[4]) : 64);
  else if (!strcmp(words[1], "mmsg")) receive_mmsg(words[2], duration);
  else if (!strcmp(words[1], "v2")) receive_v2(words[2], duration);
  else receive_v3(words[2], duration);
  printf("%s: %.3f M frames/s, %.0f ns of processor a frame, %.3f calls a frame\n", words[1], frames / (seconds(CLOCK_MONOTONIC) - start) / 1e6,
         seconds(CLOCK_PROCESS_CPUTIME_ID) * 1e9 / (frames ? frames : 1), (double)calls / (frames ? frames : 1));
}
