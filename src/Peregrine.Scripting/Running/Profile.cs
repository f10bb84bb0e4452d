// The two systems whose scripts are run: a profile of the stack's, sizes for one script, and how that system's calls behave.
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Posix;

namespace Peregrine.Scripting.Running;

/// <summary>Settings of a system.</summary>
internal sealed record Profile(string Name, StackOptions Options, PosixManners Manners, long ToleranceMicroseconds)
{
    private static readonly StackOptions s_sizes = new()
    {
        ConnectionCountMax = 256,
        TimeWaitCountMax = 256,
        SynBacklogCountMax = 256,
        ListenerCountMax = 16,
        FrameCount = 1_024,
        BlockCount = 4_096,
        TransmissionRecordCount = 4_096,
        // Scripts look at each segment, and at what each one does.
        MergeReceived = false,
        ConnectionDetails = true,
        SenderHistoryCountMax = 256,
    };

    internal PosixFastOpenModes FastOpenModes { get; init; }

    internal FastOpenKeys? FastOpenKeys { get; init; }

    // With what the public scripts' common settings set.
    internal static Profile Linux { get; } = new(
        TcpProfile.Linux.Name,
        (TcpProfile.Linux with
        {
            Connection = TcpProfile.Linux.Connection with
            {
                ReceiveBufferBytes = 540_000,
                ReceiveBufferBytesMax = 15 * 1024 * 1024,
                PacketReceiver = true,
                SlowStartAfterIdle = false,
                PacketSender = true,
                DelaysFinAck = true,
                SynRetryCount = 5,
                ForgivenSynLosses = 1,
                AcceptsResetsBehindHeld = true,
                Ecn = TcpEcnMode.Off,
            },
        })
            .Apply(s_sizes with { IgnoreTimeWaitResets = false }),
        new PosixManners { DoublesBuffers = true },
        14_000)
    {
        FastOpenModes = PosixFastOpenModes.Client | PosixFastOpenModes.Server | PosixFastOpenModes.AnyListener,
        FastOpenKeys = PosixFastOpen.KeysOf(Convert.FromHexString("A1A1A1A1B2B2B2B2C3C3C3C3D4D4D4D4")),
    };

    internal static Profile FreeBsd { get; } = new(
        TcpProfile.FreeBsd.Name,
        // A report of a path's MTU counts as minmss and headers at least.
        TcpProfile.FreeBsd.Apply(s_sizes with { Ip = s_sizes.Ip with { PathMtuFloorIPv4 = 256 } }),
        new PosixManners { IsFreeBsd = true },
        10_000);

    internal static Profile? Find(string name) => TcpProfile.Find(name) is not { } profile ? null : profile == TcpProfile.Linux ? Linux : FreeBsd;
}
