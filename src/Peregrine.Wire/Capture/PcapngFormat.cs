// What pcapng's writer and reader share: block types, option codes, and the words of a capture.
// The format is draft-ietf-opsawg-pcapng; section numbers in this folder are of that document.
namespace Peregrine.Wire;

/// <summary>Which way a frame went, as seen from its interface (the two lowest bits of epb_flags).</summary>
public enum CaptureDirection : byte
{
    /// <summary>Not known.</summary>
    Unknown = 0,

    /// <summary>Received.</summary>
    Inbound = 1,

    /// <summary>Sent.</summary>
    Outbound = 2,
}

/// <summary>Link types of interfaces (LINKTYPE_ values).</summary>
public static class CaptureLinkType
{
    /// <summary>Ethernet.</summary>
    public const ushort Ethernet = 1;

    /// <summary>IPv4 or IPv6 without a link header.</summary>
    public const ushort RawIp = 101;
}

/// <summary>Numbers of the format.</summary>
internal static class Pcapng
{
    public const uint SectionHeaderBlock = 0x0A0D_0D0A;
    public const uint InterfaceBlock = 1;
    public const uint SimplePacketBlock = 3;
    public const uint StatisticsBlock = 5;
    public const uint EnhancedPacketBlock = 6;
    public const uint ByteOrderMagic = 0x1A2B_3C4D;

    public const ushort OptionEnd = 0;
    public const ushort OptionComment = 1;
    public const ushort SectionHardware = 2;
    public const ushort SectionOs = 3;
    public const ushort SectionApplication = 4;
    public const ushort InterfaceName = 2;
    public const ushort InterfaceDescription = 3;
    public const ushort InterfaceMac = 6;
    public const ushort InterfaceSpeed = 8;
    public const ushort InterfaceTimeResolution = 9;
    public const ushort InterfaceTimeOffset = 14;
    public const ushort PacketFlags = 2;
    public const ushort StatisticsReceived = 4;
    public const ushort StatisticsDropped = 5;

    /// <summary>Bytes of a block of this size or more are refused: no writer makes them, and they would be read into memory.</summary>
    public const int BlockLengthMax = 16 * 1024 * 1024;

    /// <summary>Interfaces of a section that are kept at most.</summary>
    public const int InterfaceCountMax = 4096;

    public const int BlockLengthMin = 12;

    public const ulong NanosecondsPerSecond = 1_000_000_000;

    public static int Padded(int length) => (length + 3) & ~3;
}
