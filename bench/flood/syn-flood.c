// SYNs from addresses that nobody has (198.18.0.0/15, RFC 2544), to one port, at a bounded rate: the flood that "peregrine bench http --flood" puts
// beside honest clients. Begins with the first byte of its standard input, ends with it, and says then how many a second went out.
// usage: syn-flood DEVICE MAC ADDRESS PORT RATE
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BURST = 32, FRAME = 14 + 20 + 24 };

static uint8_t frames[BURST][FRAME];
static uint32_t state = 2463534242u;

static void die(const char *what) { perror(what); exit(1); }
static uint32_t next_random(void) { state ^= state << 13; state ^= state >> 17; return state ^= state << 5; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }

static uint16_t checksum(const uint8_t *p, int n, uint32_t sum) {
  for (int i = 0; i < n; i += 2) sum += p[i] << 8 | p[i + 1];
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  return ~sum;
}

static void put16(uint8_t *p, uint16_t v) { p[0] = v >> 8; p[1] = v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }

// Ethernet, IPv4, and a SYN with a maximum segment size, as clients send it.
static void make(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint32_t address, uint16_t port) {
  memcpy(frame, to, 6); memcpy(frame + 6, from, 6); put16(frame + 12, ETH_P_IP);
  uint8_t *ip = frame + 14, *tcp = ip + 20;
  memset(ip, 0, 44);
  ip[0] = 0x45; put16(ip + 2, 44); put16(ip + 4, next_random()); ip[8] = 64; ip[9] = 6;
  put32(ip + 12, 0xC6120000u | (next_random() & 0x1FFFF)); put32(ip + 16, address);
  put16(ip + 10, checksum(ip, 20, 0));
  put16(tcp, 1024 + next_random() % 60000); put16(tcp + 2, port); put32(tcp + 4, next_random());
  tcp[12] = 6 << 4; tcp[13] = 2; put16(tcp + 14, 64240); tcp[20] = 2; tcp[21] = 4; put16(tcp + 22, 1460);
  put16(tcp + 16, checksum(tcp, 24, 6 + 24 + (ip[12] << 8 | ip[13]) + (ip[14] << 8 | ip[15]) + (address >> 16) + (address & 0xFFFF)));
}

int main(int argc, char **argv) {
  uint8_t to[6], from[6] = { 2, 0, 0, 0, 0, 9 };
  struct in_addr address;
  if (argc != 6 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", to, to + 1, to + 2, to + 3, to + 4, to + 5) != 6 || !inet_aton(argv[3], &address) || atof(argv[5]) <= 0) {
    fprintf(stderr, "usage: syn-flood DEVICE MAC ADDRESS PORT RATE\n");
    return 2;
  }
  double rate = atof(argv[5]);
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1]) };
  if (fd < 0 || !name.sll_ifindex || bind(fd, (struct sockaddr *)&name, sizeof name)) die(argv[1]);
  struct iovec parts[BURST];
  struct mmsghdr messages[BURST];
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < BURST; i++) {
    parts[i] = (struct iovec){ frames[i], FRAME };
    messages[i].msg_hdr.msg_iov = &parts[i]; messages[i].msg_hdr.msg_iovlen = 1;
  }
  struct pollfd input = { .fd = 0, .events = POLLIN };
  puts("ready");
  fflush(stdout);
  char byte;
  if (read(0, &byte, 1) != 1) return 0;
  double began = now(), start = began, asked = began;
  long long sent = 0;
  for (;;) {
    double t = now(), behind = (t - start) * rate - sent;
    // What could not be sent in its time is not made up for: a burst of it would be another load.
    if (behind > 4 * BURST) { start = t - (sent + 4 * BURST) / rate; }
    if (behind < BURST) { struct timespec nap = { 0, (long)((BURST - behind) / rate * 1e9) }; nanosleep(&nap, NULL); continue; }
    for (int i = 0; i < BURST; i++) make(frames[i], to, from, ntohl(address.s_addr), atoi(argv[4]));
    int n = sendmmsg(fd, messages, BURST, 0);
    if (n > 0) sent += n;
    if (t - asked < 0.01) continue;
    asked = t;
    if (poll(&input, 1, 0) > 0 && read(0, &byte, 1) <= 0) { printf("%.0f\n", sent / (t - began)); return 0; }
  }
}
