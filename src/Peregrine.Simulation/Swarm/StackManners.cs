// What differs between systems and administrators: a share of a world's hosts behaves as another system does, and has mechanisms on or off, each by chance.
using Peregrine.Core;
using Peregrine.Core.Tcp;

namespace Peregrine.Simulation.Swarm;

internal sealed class StackManners(SimulationRandom random)
{
    // Of a hundred hosts; the others keep the defaults, which most of the world has.
    private const int ProfilePercent = 20, SwitchPercent = 40;

    /// <summary>The host's options with its manners.</summary>
    public StackOptions Change(StackOptions options)
    {
        if (random.Percent(ProfilePercent)) options = TakeProfile(options);
        return random.Percent(SwitchPercent) ? Switch(options) : options;
    }

    // What the world has chosen stays as it is: sizes, because a host is small, and times, because the judges of flows reckon with them.
    private static StackOptions TakeProfile(StackOptions options)
    {
        var chosen = options.Tcp;
        options = TcpProfile.FreeBsd.Apply(options);
        return options with
        {
            RtoMsMax = 60_000,
            Tcp = options.Tcp with
            {
                ReceiveBufferBytes = chosen.ReceiveBufferBytes, ReceiveBufferBytesMax = chosen.ReceiveBufferBytesMax,
                SendBufferBytes = chosen.SendBufferBytes, SendBufferBytesMax = chosen.SendBufferBytesMax,
                UserTimeoutMs = chosen.UserTimeoutMs, RetryCount = chosen.RetryCount, ConnectTimeoutMs = chosen.ConnectTimeoutMs, SynAckRetryCount = chosen.SynAckRetryCount,
                KeepAlive = chosen.KeepAlive, KeepAliveTimeSeconds = chosen.KeepAliveTimeSeconds,
                KeepAliveIntervalSeconds = chosen.KeepAliveIntervalSeconds, KeepAliveRetryCount = chosen.KeepAliveRetryCount,
                CongestionControl = chosen.CongestionControl, Timestamps = chosen.Timestamps, SelectiveAcknowledgments = chosen.SelectiveAcknowledgments,
                WindowScaling = chosen.WindowScaling, Ecn = chosen.Ecn, NoDelay = chosen.NoDelay, MaximumSegmentSize = chosen.MaximumSegmentSize,
                ResetsUnread = chosen.ResetsUnread, ForgetsHalfOpen = chosen.ForgetsHalfOpen, FinWait2TimeoutMs = chosen.FinWait2TimeoutMs,
                PeerMssMin = chosen.PeerMssMin, TimeoutCountMax = chosen.TimeoutCountMax,
            },
        };
    }

    private StackOptions Switch(StackOptions options)
    {
        var tcp = options.Tcp;
        // Restarts after idleness are off by either of two draws, so that every seed keeps its world.
        var (merges, restarts) = (Flip(options.MergeReceived), Flip(true));
        options = options with
        {
            MergeReceived = merges,
            SynCookiesOnly = Flip(options.SynCookiesOnly),
            ConnectionDetails = Flip(options.ConnectionDetails),
            TimeWaitReuseMs = random.Percent(15) ? 1_000 : 0,
            Tcp = tcp with
            {
                Rack = Flip(tcp.Rack),
                TailLossProbe = Flip(tcp.TailLossProbe),
                ProportionalRateReduction = Flip(tcp.ProportionalRateReduction),
                ForwardRto = Flip(tcp.ForwardRto),
                EifelUndo = Flip(tcp.EifelUndo),
                DsackUndo = Flip(tcp.DsackUndo),
                HyStart = Flip(tcp.HyStart),
                RtoRestart = Flip(tcp.RtoRestart),
                SlowStartAfterIdle = Flip(tcp.SlowStartAfterIdle) && restarts,
                JoinsRetransmissions = Flip(tcp.JoinsRetransmissions),
                WindowValidation = Flip(tcp.WindowValidation),
                WindowSlowStart = Flip(tcp.WindowSlowStart),
                WindowProbeData = Flip(tcp.WindowProbeData),
                InteractiveAcks = Flip(tcp.InteractiveAcks),
                AckEverySecondSegment = Flip(tcp.AckEverySecondSegment),
                AcksRepeatFin = Flip(tcp.AcksRepeatFin),
                Pacing = random.Percent(20) ? random.Pick(TcpPacingMode.Off, TcpPacingMode.On) : tcp.Pacing,
                PacingBytesPerSecondMax = random.Percent(10) ? random.Pick(50_000, 1_000_000) : 0,
                MtuProbing = random.Percent(30) ? random.Pick(TcpMtuProbingMode.BlackHole, TcpMtuProbingMode.Always) : tcp.MtuProbing,
                FastOpenConnect = Flip(tcp.FastOpenConnect),
                FastOpenQueueLength = random.Percent(30) ? random.Pick(1, 16) : 0,
                FastOpenWithoutCookie = Flip(tcp.FastOpenWithoutCookie),
                DeferAcceptSeconds = random.Percent(10) ? 5 : 0,
                SynOptionsRetryCount = random.Percent(10) ? 2 : 0,
                SlowStartSegmentsMax = random.Percent(10) ? 30 : 0,
            },
        };
        return SwitchMore(options, options.Tcp);
    }

    // Drawn after all of Switch's, so that a seed keeps what it drew before these were settings. Small pools of histories run out.
    private StackOptions SwitchMore(StackOptions options, TcpSettings tcp) => options with
    {
        SenderHistoryCountMax = random.Pick(1, 4, 1_024),
        ListenDropsSynFin = Flip(options.ListenDropsSynFin),
        DropSynFin = Flip(options.DropSynFin),
        PlainTimeWait = Flip(options.PlainTimeWait),
        Tcp = tcp with
        {
            PlainNagle = Flip(tcp.PlainNagle),
            ResetTimestamps = Flip(tcp.ResetTimestamps),
            DelaysFinAck = Flip(tcp.DelaysFinAck),
            AckPastSegment = Flip(tcp.AckPastSegment),
            ReducesFromWindow = Flip(tcp.ReducesFromWindow),
            GradualEcnReduction = Flip(tcp.GradualEcnReduction),
            ChallengeSyns = Flip(tcp.ChallengeSyns),
            ExactResetsOnly = Flip(tcp.ExactResetsOnly),
            AcceptsMissingTimestamps = Flip(tcp.AcceptsMissingTimestamps),
            PackedSynOptions = Flip(tcp.PackedSynOptions),
            SynAckRepeatsSyn = Flip(tcp.SynAckRepeatsSyn),
            WrongAckRepeatsSyn = Flip(tcp.WrongAckRepeatsSyn),
            WindowIsBuffer = Flip(tcp.WindowIsBuffer),
            WholeSegmentBuffer = Flip(tcp.WholeSegmentBuffer),
            FastOpenExperimental = Flip(tcp.FastOpenExperimental),
            QuickAckCount = random.Percent(10) ? random.Pick(0, 1) : tcp.QuickAckCount,
            SlowStartSegmentsPerAck = random.Percent(15) ? random.Pick(1, 2) : tcp.SlowStartSegmentsPerAck,
            ForgivenSynLosses = random.Percent(15) ? 1 : tcp.ForgivenSynLosses,
            EcnSynRetryCount = random.Percent(10) ? 1 : tcp.EcnSynRetryCount,
            ReorderingMarginMs = random.Percent(10) ? 0 : tcp.ReorderingMarginMs,
            PacketSender = random.Percent(40),
            PacketCubic = Flip(tcp.PacketCubic),
            RoundTripPerAck = Flip(tcp.RoundTripPerAck),
            WindowUsePerWindow = Flip(tcp.WindowUsePerWindow),
            WriteRuns = Flip(tcp.WriteRuns),
            GathersSegments = Flip(tcp.GathersSegments),
            PacingHeadStart = Flip(tcp.PacingHeadStart),
            HalfWindowMss = Flip(tcp.HalfWindowMss),
            PacketWindow = Flip(tcp.PacketWindow),
            CountedDuplicates = Flip(tcp.CountedDuplicates),
            JoinsWholeRetransmissions = Flip(tcp.JoinsWholeRetransmissions),
            WindowToEdge = Flip(tcp.WindowToEdge),
            ProbeTimerStays = Flip(tcp.ProbeTimerStays),
            MtuSearchKeepsMss = Flip(tcp.MtuSearchKeepsMss),
            PacketReceiver = random.Percent(40),
            SackCoversFin = Flip(tcp.SackCoversFin),
            RepairsAsTimeout = Flip(tcp.RepairsAsTimeout),
            HastensDelayedAcks = Flip(tcp.HastensDelayedAcks),
        },
    };

    private bool Flip(bool value) => value ^ random.Percent(15);
}
