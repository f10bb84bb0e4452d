// How a system's TCP behaves, as data: every switch and number of StackOptions and TcpSettings in which Linux's and FreeBSD's differ. What Linux does is
// the default of each, so that its profile is an empty change; in six things the default is the RFC's or the simpler one and Linux's a setting: PacketSender,
// PacketReceiver, DelaysFinAck, ForgivenSynLosses, AcceptsResetsBehindHeld, IgnoreTimeWaitResets. No code asks which profile it runs under; another profile is another record.
namespace Peregrine.Core.Tcp;

/// <summary>The documented behaviour of a system's TCP, to be put into <see cref="StackOptions"/> by <see cref="Apply"/>.</summary>
public sealed record TcpProfile
{
    /// <summary>Linux 6.x with its default settings, which are our defaults: option order, timers, ACKs, windows, resets and what ICMP errors do as there.</summary>
    public static TcpProfile Linux { get; } = new()
    {
        Name = "linux",
        Connection = TcpSettings.Default with
        {
            PacketCubic = true,
            RoundTripPerAck = true,
            WindowUsePerWindow = true,
            WriteRuns = true,
            GathersSegments = true,
            PacingHeadStart = true,
            HalfWindowMss = true,
            PacketWindow = true,
            CountedDuplicates = true,
            JoinsWholeRetransmissions = true,
            WindowToEdge = true,
            ProbeTimerStays = true,
            RepairsAsTimeout = true,
            HastensDelayedAcks = true,
            MtuSearchKeepsMss = true,
        },
    };

    /// <summary>FreeBSD 14 with its default settings and stack: option order, time-outs with slack, every second segment acknowledged, windows to the byte.</summary>
    public static TcpProfile FreeBsd { get; } = new()
    {
        Name = "freebsd",
        RtoMsMin = 30,
        RtoMsMax = 64_000,
        RtoSlackMs = 200,
        RtoVarianceMsMin = 0,
        FastOpenDisableSeconds = 900,
        InitialWindowBytesMax = 14_600,
        ChallengeAckIntervalMs = 0,
        ListenDropsSynFin = false,
        PlainTimeWait = true,
        Connection = TcpSettings.Default with
        {
            ReceiveBufferBytes = 65_536,
            ReceiveBufferBytesMax = 2 * 1024 * 1024,
            SendBufferBytes = 32_768,
            SendBufferBytesMax = 2 * 1024 * 1024,
            QuickAckCount = 0,
            SynRetryCount = 12,
            SynAckRetryCount = 3,
            EcnSynRetryCount = 1,
            ResetsUnanswered = true,
            SynAckRepeatsSyn = false,
            WrongAckRepeatsSyn = false,
            PacketSender = false,
            PacketCubic = false,
            RoundTripPerAck = false,
            WindowUsePerWindow = false,
            WriteRuns = false,
            GathersSegments = false,
            PacingHeadStart = false,
            HalfWindowMss = false,
            PacketWindow = false,
            CountedDuplicates = false,
            JoinsWholeRetransmissions = false,
            WindowToEdge = false,
            ProbeTimerStays = false,
            RepairsAsTimeout = false,
            HastensDelayedAcks = false,
            MtuSearchKeepsMss = false,
            GradualEcnReduction = false,
            ConnectTimeoutMs = 75_000,
            KeepAlive = true,
            KeepAliveRetryCount = 8,
            Rack = false,
            TailLossProbe = false,
            ForwardRto = false,
            DsackUndo = false,
            HyStart = false,
            JoinsRetransmissions = true,
            MtuProbeBaseMss = 1_200,
            MtuProbeFloorMss = 536,
            PackedSynOptions = true,
            ConnectErrors = TcpConnectErrors.HardAndExpired,
            AcksRepeatFin = true,
            ResetsUnread = false,
            ForgetsHalfOpen = true,
            FinWait2TimeoutMs = 0,
            PeerMssMin = 216,
            TimeoutCountMax = 12,
            SynKeepsPath = true,
            AckEverySecondSegment = true,
            WindowIsBuffer = true,
            WholeSegmentBuffer = true,
            SlowStartSegmentsPerAck = 2,
            ReducesFromWindow = false,
            FastOpenExperimental = false,
            AcceptsMissingTimestamps = true,
            AcceptsResetConnections = false,
            WindowProbeData = true,
            PlainNagle = true,
            SackCoversFin = false,
            SackCompressionCount = 0,
            InteractiveAcks = false,
            AckPastSegment = false,
            WindowSlowStart = false,
            ReorderingMarginMs = 0,
            KeepsSynText = true,
            ResetTimestamps = false,
            ChecksSynAckEcho = false,
        },
    };

    /// <summary>The profile's name, in lower case.</summary>
    public required string Name { get; init; }

    /// <summary>What connections do.</summary>
    public TcpSettings Connection { get; init; } = TcpSettings.Default;

    /// <inheritdoc cref="StackOptions.RtoMsMin"/>
    public int RtoMsMin { get; init; } = 200;

    /// <inheritdoc cref="StackOptions.RtoMsMax"/>
    public int RtoMsMax { get; init; } = 120_000;

    /// <inheritdoc cref="StackOptions.RtoVarianceMsMin"/>
    public int RtoVarianceMsMin { get; init; } = 200;

    /// <inheritdoc cref="StackOptions.RtoSlackMs"/>
    public int RtoSlackMs { get; init; }

    /// <inheritdoc cref="StackOptions.InitialWindowSegments"/>
    public int InitialWindowSegments { get; init; } = 10;

    /// <inheritdoc cref="StackOptions.InitialWindowBytesMax"/>
    public int InitialWindowBytesMax { get; init; } = 1 << 20;

    /// <inheritdoc cref="StackOptions.ChallengeAckIntervalMs"/>
    public int ChallengeAckIntervalMs { get; init; } = 500;

    /// <inheritdoc cref="StackOptions.TimeWaitSeconds"/>
    public int TimeWaitSeconds { get; init; } = 60;

    /// <inheritdoc cref="StackOptions.PlainTimeWait"/>
    public bool PlainTimeWait { get; init; }

    /// <inheritdoc cref="StackOptions.ListenDropsSynFin"/>
    public bool ListenDropsSynFin { get; init; } = true;

    /// <inheritdoc cref="StackOptions.DropSynFin"/>
    public bool DropSynFin { get; init; }

    /// <inheritdoc cref="StackOptions.FastOpenDisableSeconds"/>
    public int FastOpenDisableSeconds { get; init; }

    /// <summary>The profile of that name, in any case; null when there is none.</summary>
    public static TcpProfile? Find(string name) => name.ToUpperInvariant() switch
    {
        "LINUX" => Linux,
        "FREEBSD" => FreeBsd,
        _ => null,
    };

    /// <summary>Options that behave so; what a profile does not speak of (sizes, IP, UDP) stays.</summary>
    public StackOptions Apply(StackOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options with
        {
            Tcp = Connection,
            RtoMsMin = RtoMsMin,
            RtoMsMax = RtoMsMax,
            RtoVarianceMsMin = RtoVarianceMsMin,
            RtoSlackMs = RtoSlackMs,
            InitialWindowSegments = InitialWindowSegments,
            InitialWindowBytesMax = InitialWindowBytesMax,
            ChallengeAckIntervalMs = ChallengeAckIntervalMs,
            TimeWaitSeconds = TimeWaitSeconds,
            PlainTimeWait = PlainTimeWait,
            ListenDropsSynFin = ListenDropsSynFin,
            DropSynFin = DropSynFin,
            FastOpenDisableSeconds = FastOpenDisableSeconds,
        };
    }
}
