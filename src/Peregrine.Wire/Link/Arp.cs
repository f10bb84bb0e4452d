// ARP for IPv4 over Ethernet, and for nothing else: other hardware or protocol types are refused.
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>What an ARP packet asks or says (RFC 826).</summary>
public enum ArpOperation : ushort
{
    /// <summary>Who has the target address?</summary>
    Request = 1,

    /// <summary>The sender has.</summary>
    Reply = 2,
}

/// <summary>An ARP packet for Ethernet and IPv4 as it lies in a frame (RFC 826).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct ArpHeader
{
    /// <summary>Bytes of the packet.</summary>
    public const int Length = 28;

    /// <summary>Hardware type: 1 for Ethernet.</summary>
    public BigEndian16 HardwareType;

    /// <summary>Protocol type: 0x0800 for IPv4.</summary>
    public BigEndian16 ProtocolType;

    /// <summary>Bytes of a hardware address: 6.</summary>
    public byte HardwareLength;

    /// <summary>Bytes of a protocol address: 4.</summary>
    public byte ProtocolLength;

    /// <summary>Operation: 1 request, 2 reply.</summary>
    public BigEndian16 Operation;

    /// <summary>Sender hardware address, upper 16 bits.</summary>
    public BigEndian16 SenderHardwareHigh;

    /// <summary>Sender hardware address, lower 32 bits.</summary>
    public BigEndian32 SenderHardwareLow;

    /// <summary>Sender protocol address.</summary>
    public BigEndian32 SenderProtocol;

    /// <summary>Target hardware address, upper 16 bits.</summary>
    public BigEndian16 TargetHardwareHigh;

    /// <summary>Target hardware address, lower 32 bits.</summary>
    public BigEndian32 TargetHardwareLow;

    /// <summary>Target protocol address.</summary>
    public BigEndian32 TargetProtocol;
}

/// <summary>An ARP packet for Ethernet and IPv4, in host order. Any operation parses.</summary>
public readonly record struct ArpPacket
{
    /// <summary>Request or reply.</summary>
    public ArpOperation Operation { get; init; }

    /// <summary>Ethernet address of the sender.</summary>
    public MacAddress SenderMac { get; init; }

    /// <summary>IPv4 address of the sender; 0.0.0.0 in a probe (RFC 5227 §1.1).</summary>
    public IpAddress SenderAddress { get; init; }

    /// <summary>Ethernet address of the target; not significant in a request.</summary>
    public MacAddress TargetMac { get; init; }

    /// <summary>IPv4 address of the target.</summary>
    public IpAddress TargetAddress { get; init; }

    /// <summary>Accepts bytes that hold a whole ARP packet for Ethernet and IPv4; padding may follow.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out ArpPacket packet)
    {
        packet = default;
        if (bytes.Length < ArpHeader.Length) return false;
        ref readonly ArpHeader header = ref Overlay.On<ArpHeader>(bytes);
        if (header.HardwareType != 1 || header.ProtocolType != EtherType.IPv4) return false;
        if (header.HardwareLength != MacAddress.Length || header.ProtocolLength != 4) return false;
        packet = new ArpPacket
        {
            Operation = (ArpOperation)(ushort)header.Operation,
            SenderMac = new MacAddress((ulong)header.SenderHardwareHigh << 32 | header.SenderHardwareLow),
            SenderAddress = IpAddress.FromIPv4(header.SenderProtocol),
            TargetMac = new MacAddress((ulong)header.TargetHardwareHigh << 32 | header.TargetHardwareLow),
            TargetAddress = IpAddress.FromIPv4(header.TargetProtocol),
        };
        return true;
    }

    /// <summary>Writes the packet.</summary>
    /// <returns>Bytes written: 28.</returns>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public int WriteTo(Span<byte> destination)
    {
        ref ArpHeader header = ref Overlay.OnWritable<ArpHeader>(destination);
        header.HardwareType = 1;
        header.ProtocolType = EtherType.IPv4;
        header.HardwareLength = MacAddress.Length;
        header.ProtocolLength = 4;
        header.Operation = (ushort)Operation;
        header.SenderHardwareHigh = (ushort)(SenderMac.Value >> 32);
        header.SenderHardwareLow = (uint)SenderMac.Value;
        header.SenderProtocol = SenderAddress.ToIPv4();
        header.TargetHardwareHigh = (ushort)(TargetMac.Value >> 32);
        header.TargetHardwareLow = (uint)TargetMac.Value;
        header.TargetProtocol = TargetAddress.ToIPv4();
        return ArpHeader.Length;
    }
}
