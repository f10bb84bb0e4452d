// linux/if_xdp.h: numbers and structs of AF_XDP sockets. The same on x64 and Arm64, all fields of fixed width; a test checks sizes and
// offsets against the kernel's headers of both. What is newer than those headers says which kernel brought it.
using System.Runtime.InteropServices;

namespace Peregrine.Drivers.Linux;

internal static class XdpNumbers
{
    public const int Family = 44, Level = 283;

    /// <summary>Flags of the address that a socket is bound to. Several chunks a frame (XDP_USE_SG) came with Linux 6.6.</summary>
    public const ushort BindSharedUmem = 1, BindCopy = 2, BindZeroCopy = 4, BindNeedWakeup = 8, BindMultiBuffer = 16;

    /// <summary>Socket options of <see cref="Level"/>. The last came with Linux 6.18 (frames that one sendto may send in copy mode).</summary>
    public const int MapOffsets = 1, ReceiveRing = 2, TransmitRing = 3, RegisterUmem = 4, FillRing = 5, CompletionRing = 6, Statistics = 7, Options = 8,
        TransmitBudget = 9;

    /// <summary>Where the rings are mapped.</summary>
    public const long ReceiveRingPage = 0, TransmitRingPage = 0x8000_0000;

    public const long FillRingPage = 0x1_0000_0000, CompletionRingPage = 0x1_8000_0000;

    /// <summary>A ring's flags: whoever fills it must make a system call for it to be looked at.</summary>
    public const uint NeedWakeup = 1;

    /// <summary>A descriptor's options: more of the frame follows (Linux 6.6); metadata stands before the frame (Linux 6.8).</summary>
    public const uint Continued = 1, HasMetadata = 2;

    /// <summary>Flags of a registration: the metadata's length is given (Linux 6.8).</summary>
    public const uint UmemHasMetadata = 4;

    /// <summary>Flags of metadata: finish this checksum.</summary>
    public const ulong MetadataChecksum = 2;

    /// <summary>struct xdp_options: the socket runs without copies.</summary>
    public const uint IsZeroCopy = 1;

    /// <summary>asm-generic/socket.h, the same on x64 and Arm64.</summary>
    public const int SocketLevel = 1, SendBufferForce = 32, BusyPoll = 46, PreferBusyPoll = 69, BusyPollBudget = 70;

    public const int DontWait = 0x40;
}

/// <summary>struct sockaddr_xdp.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XdpAddress
{
    public ushort Family;
    public ushort Flags;
    public uint InterfaceIndex;
    public uint Queue;
    public uint SharedUmemDescriptor;
}

/// <summary>struct xdp_ring_offset.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XdpRingOffsets
{
    public ulong Producer;
    public ulong Consumer;
    public ulong Entries;
    public ulong Flags;
}

/// <summary>struct xdp_mmap_offsets.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XdpMapOffsets
{
    public XdpRingOffsets Receive;
    public XdpRingOffsets Transmit;
    public XdpRingOffsets Fill;
    public XdpRingOffsets Completion;
}

/// <summary>struct xdp_umem_reg; the last field came with Linux 6.8, and was padding before.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XdpUmemRegistration
{
    public ulong Address;
    public ulong Length;
    public uint ChunkSize;
    public uint Headroom;
    public uint Flags;
    public uint MetadataLength;
}

/// <summary>struct xdp_statistics.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XdpStatistics
{
    public ulong ReceiveDropped;
    public ulong ReceiveInvalid;
    public ulong TransmitInvalid;
    public ulong ReceiveRingFull;
    public ulong FillRingEmpty;
    public ulong TransmitRingEmpty;
}

/// <summary>struct xdp_desc.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XdpDescriptor
{
    public ulong Address;
    public uint Length;
    public uint Options;
}

/// <summary>struct xsk_tx_metadata of Linux 6.8, with the request for a checksum.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XdpTransmitMetadata
{
    public const int Size = 16;

    public ulong Flags;
    public ushort ChecksumStart;
    public ushort ChecksumOffset;
    public uint Reserved;
}
