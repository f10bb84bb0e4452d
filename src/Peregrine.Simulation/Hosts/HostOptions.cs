// What a simulated host is made of.
using Peregrine.Core;
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Simulation.Hosts;

/// <summary>What a host is made of.</summary>
public sealed record HostOptions
{
    /// <summary>Sizes that make a world of a few hosts cheap: 512 connections, 256 frames, 1,024 blocks of 2 KiB.</summary>
    public static StackOptions SmallStack { get; } = new()
    {
        ConnectionCountMax = 512,
        TimeWaitCountMax = 512,
        SynBacklogCountMax = 128,
        ListenerCountMax = 16,
        FrameCount = 256,
        FrameSizeBytes = 2_048,
        BlockCount = 1_024,
        BlockSizeBytes = 2_048,
        TransmissionRecordCount = 2_048,
        Ip = new IpOptions
        {
            NeighbourCountMax = 64, NeighbourQueueTotalMax = 64, RouteCountMax = 16, PathMtuCountMax = 64, ReassemblyCountMax = 16, FragmentCountMax = 64,
        },
        Udp = new Core.Udp.UdpOptions { SocketCountMax = 16, ReceiveBufferSize = 64 * 1024 },
    };

    /// <summary>Addresses with their prefix lengths, or empty: 10.0.0.n/24 and fd00::n/64 for the n-th host of the world.</summary>
    public IReadOnlyList<InterfaceAddress> Addresses { get; init; } = [];

    /// <summary>Default gateways, at most one a family.</summary>
    public IReadOnlyList<IpAddress> Gateways { get; init; } = [];

    /// <summary>The largest IP packet that the host sends, 576 to 9,000 bytes. Default 1,500.</summary>
    public int Mtu { get; init; } = 1_500;

    /// <summary>Frames that the card holds until the host looks, 8 to 4,096. Default 256.</summary>
    public int RingCount { get; init; } = 256;

    /// <summary>How long a frame waits in the card before the host looks: several make a burst. Default 5 µs.</summary>
    public Duration InterruptDelay { get; init; } = Duration.FromMicroseconds(5);

    /// <summary>What the host's clock shows when the world begins. Default one second.</summary>
    public Instant ClockStart { get; init; } = new(1_000_000_000);

    /// <summary>Connections begin near this sequence number, so that numbers wrap while they last; null for RFC 6528's choice.</summary>
    public uint? SequenceNear { get; init; }

    /// <summary>Sizes and settings of the stack.</summary>
    public StackOptions Stack { get; init; } = SmallStack;
}
