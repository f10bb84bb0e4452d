// Whom a frame asks for: on an address that we share with the kernel the answers come to the kernel, so the kernel must ask. Recognizes ARP
// requests and neighbour solicitations of ours, and nothing else; probes for our own address and announcements go out as they are.
using Peregrine.Wire;

namespace Peregrine.Drivers.Xdp;

internal static class NeighbourQuestion
{
    private const int Ethernet = 14, IPv6Header = 40, SolicitationLength = 24;

    public static bool TryFind(ReadOnlySpan<byte> frame, out IpAddress asked)
    {
        asked = default;
        if (frame.Length < Ethernet + 28) return false;
        // RFC 826: a request, from an address to another one.
        if (frame[12] == 0x08 && frame[13] == 0x06 && frame[20] == 0 && frame[21] == 1)
        {
            var sender = IpAddress.ReadIPv4(frame[28..]);
            asked = IpAddress.ReadIPv4(frame[38..]);
            return !sender.IsAny && sender != asked;
        }
        // RFC 4861 §4.3: a solicitation with a source; without one it looks for duplicates of our own address.
        if (frame[12] != 0x86 || frame[13] != 0xDD || frame.Length < Ethernet + IPv6Header + SolicitationLength) return false;
        if (frame[Ethernet + 6] != 58 || frame[Ethernet + IPv6Header] != 135) return false;
        asked = IpAddress.ReadIPv6(frame[(Ethernet + IPv6Header + 8)..]);
        return !IpAddress.ReadIPv6(frame[(Ethernet + 8)..]).IsAny;
    }
}
