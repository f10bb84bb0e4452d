// The structures of DPDK's ABI 23 (DPDK 22.11) that are touched directly, as data: offsets, sizes, flags. DPDK gives most of its fast
// path as inline C functions over these, so there is nothing to call. DpdkCheck holds every number here against the loaded library.
using System.Runtime.InteropServices;

namespace Peregrine.Drivers.Dpdk;

/// <summary>
/// What differs between builds of one ABI. Only the cache line does: 64 bytes in Debian's x64 packages and 128 in its Arm64 ones. The buffer and
/// the burst functions' table are the same in both (they are aligned to the smallest line and fill whole ones); the table of pool operations begins one line later.
/// </summary>
/// <param name="CacheLine">RTE_CACHE_LINE_SIZE of the build, in bytes.</param>
/// <param name="OperationsTableSize">sizeof(struct rte_mempool_ops_table).</param>
/// <param name="OperationsOffset">Where its array begins.</param>
internal readonly record struct DpdkBuild(int CacheLine, int OperationsTableSize, int OperationsOffset)
{
    /// <summary>The builds that are known.</summary>
    public static IReadOnlyList<DpdkBuild> Known { get; } = [new(64, 2112, 64), new(128, 2176, 128)];
}

internal static class DpdkAbi
{
    public const string Version = "22.11", LibrarySuffix = ".so.23";
    public const int PortCountMax = 32;
    public const int FastPathTableSize = PortCountMax * FastPath.Size;
    public const int OperationsCountMax = 16, OperationsSize = 128;
    public const int OperationsEnqueue = 48, OperationsDequeue = 56, OperationsGetCount = 64;

    // struct rte_mempool.
    public const int PoolSize = 64, PoolElementSize = 72, PoolOperationsIndex = 88;

    // struct rte_eth_dev_info.
    public const int DeviceInfoSize = 376, InfoDevice = 0, InfoDriverName = 8, InfoInterface = 16, InfoDeviceFlags = 24, InfoMtuMin = 20, InfoMtuMax = 22;
    public const int InfoReceiveQueuesMax = 44, InfoSendQueuesMax = 46, InfoReceiveOffloads = 72, InfoSendOffloads = 80;
    public const int InfoTableSize = 104, InfoKeySize = 106, InfoHashKinds = 112, InfoSegmentsMax = 278;

    // struct rte_eth_conf.
    public const int ConfigurationSize = 2272, ConfReceiveMode = 8, ConfMtu = 12, ConfReceiveOffloads = 24, ConfSendOffloads = 72;
    public const int ConfHashKey = 128, ConfHashKeyLength = 136, ConfHashKinds = 144, ConfInterrupts = 2264;

    // struct rte_eth_rss_reta_entry64: a mask and 64 queues.
    public const int TableEntrySize = 136, TableEntryQueues = 8, TableEntryCount = 64;

    // Space behind the last known field: a newer patch level may fill padding, never beyond this.
    public const int Slack = 512;

    public const ulong LinkStatusBit = 1UL << 34;
    public const uint InterruptOnCarrier = 1, InterruptOnRemoval = 4, DeviceSaysCarrier = 2, DeviceSaysRemoval = 8;
    public const int EventRemoved = 6, EventDestroyed = 8;
    public const uint ModeHash = 1;
    public const int HashKeyLength = 40;
    public const ulong HashKindsWanted = 0x3_AFBC;
    public const ushort BufferHeadroom = 128;
    public const int AddressIsVirtual = 2;
    public const int NotSupported = -95;

    public const ulong ReceiveVlanStrip = 1, ReceiveUdpChecksum = 4, ReceiveTcpChecksum = 8, ReceiveScatter = 0x2000;
    public const ulong SendVlanInsert = 1, SendIpChecksum = 2, SendUdpChecksum = 4, SendTcpChecksum = 8, SendTcpSegmentation = 0x20, SendManySegments = 0x8000;
}

/// <summary>struct rte_mbuf: two lines of 64 bytes, the first for reception, the second for sending.</summary>
[StructLayout(LayoutKind.Explicit, Size = Size)]
internal unsafe struct Mbuf
{
    public const int Size = 128;

    public const ulong ReceivedVlan = 1, ReceivedVlanStripped = 0x40, ReceivedChecksumBad = 8, ReceivedChecksumGood = 0x100;
    public const ulong SendSegmented = 1UL << 50, SendTcpChecksum = 1UL << 52, SendUdpChecksum = 3UL << 52, SendIpChecksum = 1UL << 54;
    public const ulong SendIPv4 = 1UL << 55, SendIPv6 = 1UL << 56, SendVlan = 1UL << 57;
    public const int NetworkLengthShift = 7, TransportLengthShift = 16, SegmentSizeShift = 24;

    [FieldOffset(0)] public byte* Buffer;
    [FieldOffset(8)] public ulong BufferIova;
    [FieldOffset(16)] public ushort DataOffset;
    [FieldOffset(18)] public ushort References;
    [FieldOffset(20)] public ushort SegmentCount;
    [FieldOffset(22)] public ushort Port;
    [FieldOffset(24)] public ulong Flags;
    [FieldOffset(32)] public uint PacketType;
    [FieldOffset(36)] public uint PacketLength;
    [FieldOffset(40)] public ushort DataLength;
    [FieldOffset(42)] public ushort VlanTag;
    [FieldOffset(44)] public uint Hash;
    [FieldOffset(54)] public ushort BufferLength;
    [FieldOffset(56)] public byte* Pool;
    [FieldOffset(64)] public Mbuf* Next;
    [FieldOffset(72)] public ulong SendOffload;
    [FieldOffset(80)] public void* Shared;
    [FieldOffset(88)] public ushort PrivateSize;
}

/// <summary>struct rte_eth_fp_ops: the burst functions of a port and its queues' data.</summary>
[StructLayout(LayoutKind.Explicit, Size = Size)]
internal unsafe struct FastPath
{
    public const int Size = 128;

    [FieldOffset(0)] public void* Receive;
    [FieldOffset(24)] public void** ReceiveQueues;
    [FieldOffset(64)] public void* Send;
    [FieldOffset(72)] public void* Prepare;
    [FieldOffset(88)] public void** SendQueues;
}
