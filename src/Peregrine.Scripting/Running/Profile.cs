// The two systems whose scripts are run, as data: what a fresh system of that kind has set, and how its calls behave.
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
    };

    internal PosixFastOpenModes FastOpenModes { get; init; }

    internal FastOpenKeys? FastOpenKeys { get; init; }

    internal static Profile Linux { get; } = new(
        "linux",
        s_sizes with
        {
            Tcp = TcpSettings.Default with
            {
                ReceiveBufferBytesMax = 15 * 1024 * 1024,
                SlowStartAfterIdle = false,
                Ecn = TcpEcnMode.Off,
                FastOpenExperimental = true,
                AcceptsMissingTimestamps = true,
                AcceptsResetConnections = true,
            },
            FastOpenDisableSeconds = 0,
        },
        new PosixManners { DoublesBuffers = true },
        10_000)
    {
        // What the public scripts' common settings say.
        FastOpenModes = PosixFastOpenModes.Client | PosixFastOpenModes.Server | PosixFastOpenModes.AnyListener,
        FastOpenKeys = PosixFastOpen.KeysOf(Convert.FromHexString("A1A1A1A1B2B2B2B2C3C3C3C3D4D4D4D4")),
    };

    internal static Profile FreeBsd { get; } = new(
        "freebsd",
        s_sizes with
        {
            RtoMsMin = 230,
            ChallengeAckIntervalMs = 0,
            TimeWaitSeconds = 60,
            ListenDropsSynFin = false,
            SynTimeoutSlackMs = 200,
            PlainTimeWait = true,
            Tcp = TcpSettings.Default with
            {
                ReceiveBufferBytes = 65_536,
                ReceiveBufferBytesMax = 2 * 1024 * 1024,
                SendBufferBytes = 32_768,
                SendBufferBytesMax = 2 * 1024 * 1024,
                QuickAckCount = 0,
                SynAckRetryCount = 3,
                PackedSynOptions = true,
                AcksRepeatFin = true,
                AckEverySecondSegment = true,
                WindowIsBuffer = true,
                WholeSegmentBuffer = true,
            },
        },
        new PosixManners { IsFreeBsd = true },
        10_000);

    internal static Profile? Find(string name) => name.ToUpperInvariant() switch
    {
        "LINUX" => Linux,
        "FREEBSD" => FreeBsd,
        _ => null,
    };
}
