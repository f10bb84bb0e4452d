// The short way of the usual packet: Ethernet without tags, addressed to us; IPv4 without options, whole; TCP or UDP; from a host to one of
// our addresses. It takes nothing that IpInput would refuse or change, and refuses by saying "not me": then IpInput looks from the start,
// drops and counts. A test plays all kinds of packets both ways.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

internal sealed unsafe class IPv4FastPath(IpLayer ip)
{
    private const int LinkLength = EthernetHeader.Length;

    // The words as they lie in memory, so that nothing is turned round before it is compared.
    private static readonly ushort s_etherType = InOrder(EtherType.IPv4);
    private static readonly ushort s_fragmentBits = InOrder(0xBFFF);

    /// <summary>Describes the packet; false, and nothing said, when it is not the usual one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryParse(in Frame frame, IpInterface link, out ReceivedPacket packet)
    {
        Unsafe.SkipInit(out packet);
        if (!link.IsEthernet || link.IsLoopback || frame.HeadLength < LinkLength + IPv4Header.Length) return false;
        if ((frame.Flags & (FrameFlags.Broadcast | FrameFlags.VlanTag)) != 0) return false;
        var at = ip.Frames.Address(frame);
        // Destination, a source that is no group, the type of what follows.
        if (Unsafe.ReadUnaligned<uint>(at) != link.MacHead || Unsafe.ReadUnaligned<ushort>(at + 4) != link.MacTail) return false;
        if ((at[6] & 1) != 0 || Unsafe.ReadUnaligned<ushort>(at + 12) != s_etherType) return false;
        return TryHeader(frame, link, at + LinkLength, ref packet);
    }

    private bool TryHeader(in Frame frame, IpInterface link, byte* header, ref ReceivedPacket packet)
    {
        // Version 4 with 20 bytes; RFC 791 §3.1: the reserved bit, MF and the offset are 0.
        if (header[0] != 0x45 || (Unsafe.ReadUnaligned<ushort>(header + 6) & s_fragmentBits) != 0) return false;
        ref readonly var fields = ref Unsafe.AsRef<IPv4Header>(header);
        int total = fields.TotalLength;
        if (total < IPv4Header.Length || total > frame.Length - LinkLength) return false;
        var protocol = fields.Protocol;
        if (protocol is not (IpProtocol.Tcp or IpProtocol.Udp)) return false;
        // RFC 1122 §3.2.1.2.
        var sum = (ulong)Unsafe.ReadUnaligned<uint>(header) + Unsafe.ReadUnaligned<uint>(header + 4) + Unsafe.ReadUnaligned<uint>(header + 8)
            + Unsafe.ReadUnaligned<uint>(header + 12) + Unsafe.ReadUnaligned<uint>(header + 16);
        if (!InternetChecksum.IsValid(sum)) return false;
        packet.Source = IpAddress.FromIPv4(fields.Source);
        packet.Destination = IpAddress.FromIPv4(fields.Destination);
        if (!AreHosts(packet.Source, packet.Destination, link)) return false;
        packet.Frame = frame;
        packet.InterfaceIndex = (ushort)link.Index;
        packet.Protocol = protocol;
        packet.TrafficClass = fields.TrafficClass;
        packet.HopLimit = fields.TimeToLive;
        packet.IsGroup = false;
        packet.ChecksumGood = (frame.Flags & (FrameFlags.ChecksumVerified | FrameFlags.ChecksumUnfinished)) != 0;
        packet.MayBeUnfinished = (link.Offloads & Links.LinkOffloads.ReceiveUnfinished) != 0;
        packet.WasFragmented = false;
        packet.MergedCount = 0;
        packet.NetworkOffset = LinkLength;
        packet.TransportOffset = LinkLength + IPv4Header.Length;
        packet.TransportLength = total - IPv4Header.Length;
        ip.Counters.ReceivedDelivered++;
        return true;
    }

    // RFC 1122 §3.2.1.3: a usable address of ours, and a source that some other host can have.
    private bool AreHosts(in IpAddress source, in IpAddress destination, IpInterface link)
    {
        var from = (uint)source.Low;
        if (from >> 24 is 0 or 127 or >= 224 || destination.IsLoopback) return false;
        var addresses = ip.Addresses;
        var place = addresses.Find(destination, link.Index);
        if (place < 0 || !addresses.Places[place].IsUsable) return false;
        return addresses.Find(source, link.Index) < 0 && !addresses.IsBroadcast(source, link.Index);
    }

    private static ushort InOrder(ushort value) => BitConverter.IsLittleEndian ? System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(value) : value;
}
