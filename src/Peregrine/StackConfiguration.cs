// The keys of a stack's settings, each written out: no reflection, so it trims. A test compares them with the records, so none is missing.
using Microsoft.Extensions.Configuration;
using Peregrine.Core;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp;
using Peregrine.Core.Udp;
using static Peregrine.ConfigurationValues;

namespace Peregrine;

internal static class StackConfiguration
{
    private static readonly Dictionary<string, Func<TcpSettings, IConfigurationSection, TcpSettings>> s_tcp = new(StringComparer.OrdinalIgnoreCase)
    {
        [nameof(TcpSettings.NoDelay)] = static (o, s) => o with { NoDelay = Flag(s) },
        [nameof(TcpSettings.Cork)] = static (o, s) => o with { Cork = Flag(s) },
        [nameof(TcpSettings.UnsentBytesMax)] = static (o, s) => o with { UnsentBytesMax = Number<int>(s) },
        [nameof(TcpSettings.WindowProbeData)] = static (o, s) => o with { WindowProbeData = Flag(s) },
        [nameof(TcpSettings.ResetTimestamps)] = static (o, s) => o with { ResetTimestamps = Flag(s) },
        [nameof(TcpSettings.ChecksSynAckEcho)] = static (o, s) => o with { ChecksSynAckEcho = Flag(s) },
        [nameof(TcpSettings.ReceiveBufferBytes)] = static (o, s) => o with { ReceiveBufferBytes = Number<int>(s) },
        [nameof(TcpSettings.ReceiveBufferBytesMax)] = static (o, s) => o with { ReceiveBufferBytesMax = Number<int>(s) },
        [nameof(TcpSettings.SendBufferBytes)] = static (o, s) => o with { SendBufferBytes = Number<int>(s) },
        [nameof(TcpSettings.SendBufferBytesMax)] = static (o, s) => o with { SendBufferBytesMax = Number<int>(s) },
        [nameof(TcpSettings.MaximumSegmentSize)] = static (o, s) => o with { MaximumSegmentSize = Number<int>(s) },
        [nameof(TcpSettings.DelayedAckMs)] = static (o, s) => o with { DelayedAckMs = Number<int>(s) },
        [nameof(TcpSettings.QuickAckCount)] = static (o, s) => o with { QuickAckCount = Number<int>(s) },
        [nameof(TcpSettings.InteractiveAcks)] = static (o, s) => o with { InteractiveAcks = Flag(s) },
        [nameof(TcpSettings.AckPastSegment)] = static (o, s) => o with { AckPastSegment = Flag(s) },
        [nameof(TcpSettings.WindowSlowStart)] = static (o, s) => o with { WindowSlowStart = Flag(s) },
        [nameof(TcpSettings.ReducesFromWindow)] = static (o, s) => o with { ReducesFromWindow = Flag(s) },
        [nameof(TcpSettings.SynRetryCount)] = static (o, s) => o with { SynRetryCount = Number<int>(s) },
        [nameof(TcpSettings.SynAckRetryCount)] = static (o, s) => o with { SynAckRetryCount = Number<int>(s) },
        [nameof(TcpSettings.ConnectTimeoutMs)] = static (o, s) => o with { ConnectTimeoutMs = Number<int>(s) },
        [nameof(TcpSettings.SynOptionsRetryCount)] = static (o, s) => o with { SynOptionsRetryCount = Number<int>(s) },
        [nameof(TcpSettings.NoOptions)] = static (o, s) => o with { NoOptions = Flag(s) },
        [nameof(TcpSettings.ConnectErrors)] = static (o, s) => o with { ConnectErrors = Choice<TcpConnectErrors>(s) },
        [nameof(TcpSettings.UserTimeoutMs)] = static (o, s) => o with { UserTimeoutMs = Number<int>(s) },
        [nameof(TcpSettings.KeepAlive)] = static (o, s) => o with { KeepAlive = Flag(s) },
        [nameof(TcpSettings.KeepAliveTimeSeconds)] = static (o, s) => o with { KeepAliveTimeSeconds = Number<int>(s) },
        [nameof(TcpSettings.KeepAliveIntervalSeconds)] = static (o, s) => o with { KeepAliveIntervalSeconds = Number<int>(s) },
        [nameof(TcpSettings.KeepAliveRetryCount)] = static (o, s) => o with { KeepAliveRetryCount = Number<int>(s) },
        [nameof(TcpSettings.FinWait2TimeoutMs)] = static (o, s) => o with { FinWait2TimeoutMs = Number<int>(s) },
        [nameof(TcpSettings.CongestionControl)] = static (o, s) => o with { CongestionControl = Text(s) },
        [nameof(TcpSettings.Pacing)] = static (o, s) => o with { Pacing = Choice<TcpPacingMode>(s) },
        [nameof(TcpSettings.PacingBytesPerSecondMax)] = static (o, s) => o with { PacingBytesPerSecondMax = Number<long>(s) },
        [nameof(TcpSettings.Rack)] = static (o, s) => o with { Rack = Flag(s) },
        [nameof(TcpSettings.KeepsSynText)] = static (o, s) => o with { KeepsSynText = Flag(s) },
        [nameof(TcpSettings.ReorderingMarginMs)] = static (o, s) => o with { ReorderingMarginMs = Number<int>(s) },
        [nameof(TcpSettings.TailLossProbe)] = static (o, s) => o with { TailLossProbe = Flag(s) },
        [nameof(TcpSettings.ProbeAckDelayMs)] = static (o, s) => o with { ProbeAckDelayMs = Number<int>(s) },
        [nameof(TcpSettings.ProportionalRateReduction)] = static (o, s) => o with { ProportionalRateReduction = Flag(s) },
        [nameof(TcpSettings.ForwardRto)] = static (o, s) => o with { ForwardRto = Flag(s) },
        [nameof(TcpSettings.EifelUndo)] = static (o, s) => o with { EifelUndo = Flag(s) },
        [nameof(TcpSettings.DsackUndo)] = static (o, s) => o with { DsackUndo = Flag(s) },
        [nameof(TcpSettings.HyStart)] = static (o, s) => o with { HyStart = Flag(s) },
        [nameof(TcpSettings.SlowStartSegmentsPerAck)] = static (o, s) => o with { SlowStartSegmentsPerAck = Number<int>(s) },
        [nameof(TcpSettings.SlowStartSegmentsMax)] = static (o, s) => o with { SlowStartSegmentsMax = Number<int>(s) },
        [nameof(TcpSettings.SlowStartAfterIdle)] = static (o, s) => o with { SlowStartAfterIdle = Flag(s) },
        [nameof(TcpSettings.WindowValidation)] = static (o, s) => o with { WindowValidation = Flag(s) },
        [nameof(TcpSettings.RtoRestart)] = static (o, s) => o with { RtoRestart = Flag(s) },
        [nameof(TcpSettings.Ecn)] = static (o, s) => o with { Ecn = Choice<TcpEcnMode>(s) },
        [nameof(TcpSettings.FastOpenConnect)] = static (o, s) => o with { FastOpenConnect = Flag(s) },
        [nameof(TcpSettings.FastOpenQueueLength)] = static (o, s) => o with { FastOpenQueueLength = Number<int>(s) },
        [nameof(TcpSettings.FastOpenWithoutCookie)] = static (o, s) => o with { FastOpenWithoutCookie = Flag(s) },
        [nameof(TcpSettings.FastOpenExperimental)] = static (o, s) => o with { FastOpenExperimental = Flag(s) },
        [nameof(TcpSettings.EcnSynRetryCount)] = static (o, s) => o with { EcnSynRetryCount = Number<int>(s) },
        [nameof(TcpSettings.Timestamps)] = static (o, s) => o with { Timestamps = Flag(s) },
        [nameof(TcpSettings.SelectiveAcknowledgments)] = static (o, s) => o with { SelectiveAcknowledgments = Flag(s) },
        [nameof(TcpSettings.WindowScaling)] = static (o, s) => o with { WindowScaling = Flag(s) },
        [nameof(TcpSettings.AcceptsMissingTimestamps)] = static (o, s) => o with { AcceptsMissingTimestamps = Flag(s) },
        [nameof(TcpSettings.AcceptsResetConnections)] = static (o, s) => o with { AcceptsResetConnections = Flag(s) },
        [nameof(TcpSettings.UdpEncapsulationPort)] = static (o, s) => o with { UdpEncapsulationPort = Number<int>(s) },
        [nameof(TcpSettings.MinimumMtu)] = static (o, s) => o with { MinimumMtu = Flag(s) },
        [nameof(TcpSettings.PackedSynOptions)] = static (o, s) => o with { PackedSynOptions = Flag(s) },
        [nameof(TcpSettings.ExactResetsOnly)] = static (o, s) => o with { ExactResetsOnly = Flag(s) },
        [nameof(TcpSettings.ChallengeSyns)] = static (o, s) => o with { ChallengeSyns = Flag(s) },
        [nameof(TcpSettings.AcksRepeatFin)] = static (o, s) => o with { AcksRepeatFin = Flag(s) },
        [nameof(TcpSettings.AckEverySecondSegment)] = static (o, s) => o with { AckEverySecondSegment = Flag(s) },
        [nameof(TcpSettings.WindowIsBuffer)] = static (o, s) => o with { WindowIsBuffer = Flag(s) },
        [nameof(TcpSettings.WholeSegmentBuffer)] = static (o, s) => o with { WholeSegmentBuffer = Flag(s) },
        [nameof(TcpSettings.MtuProbing)] = static (o, s) => o with { MtuProbing = Choice<TcpMtuProbingMode>(s) },
        [nameof(TcpSettings.MtuProbeBaseMss)] = static (o, s) => o with { MtuProbeBaseMss = Number<int>(s) },
        [nameof(TcpSettings.MtuProbeFloorMss)] = static (o, s) => o with { MtuProbeFloorMss = Number<int>(s) },
        [nameof(TcpSettings.MtuProbeThresholdBytes)] = static (o, s) => o with { MtuProbeThresholdBytes = Number<int>(s) },
        [nameof(TcpSettings.MtuProbeIntervalSeconds)] = static (o, s) => o with { MtuProbeIntervalSeconds = Number<int>(s) },
        [nameof(TcpSettings.EventLog)] = static (o, s) => o with { EventLog = Flag(s) },
        [nameof(TcpSettings.DeferAcceptSeconds)] = static (o, s) => o with { DeferAcceptSeconds = Number<int>(s) },
        [nameof(TcpSettings.ReceiveLowBytes)] = static (o, s) => o with { ReceiveLowBytes = Number<int>(s) },
        [nameof(TcpSettings.FlowLabel)] = static (o, s) => o with { FlowLabel = Number<int>(s) },
        [nameof(TcpSettings.HopLimit)] = static (o, s) => o with { HopLimit = Number<int>(s) },
        [nameof(TcpSettings.TrafficClass)] = static (o, s) => o with { TrafficClass = Number<int>(s) },
    };

    private static readonly Dictionary<string, Func<IpOptions, IConfigurationSection, IpOptions>> s_ip = new(StringComparer.OrdinalIgnoreCase)
    {
        [nameof(IpOptions.InterfaceCountMax)] = static (o, s) => o with { InterfaceCountMax = Number<int>(s) },
        [nameof(IpOptions.AddressCountMax)] = static (o, s) => o with { AddressCountMax = Number<int>(s) },
        [nameof(IpOptions.NeighbourCountMax)] = static (o, s) => o with { NeighbourCountMax = Number<int>(s) },
        [nameof(IpOptions.NeighbourQueueCountMax)] = static (o, s) => o with { NeighbourQueueCountMax = Number<int>(s) },
        [nameof(IpOptions.NeighbourQueueTotalMax)] = static (o, s) => o with { NeighbourQueueTotalMax = Number<int>(s) },
        [nameof(IpOptions.RouteCountMax)] = static (o, s) => o with { RouteCountMax = Number<int>(s) },
        [nameof(IpOptions.PathMtuCountMax)] = static (o, s) => o with { PathMtuCountMax = Number<int>(s) },
        [nameof(IpOptions.PathMtuAgeSeconds)] = static (o, s) => o with { PathMtuAgeSeconds = Number<int>(s) },
        [nameof(IpOptions.PathMtuFloorIPv4)] = static (o, s) => o with { PathMtuFloorIPv4 = Number<int>(s) },
        [nameof(IpOptions.ReassemblyCountMax)] = static (o, s) => o with { ReassemblyCountMax = Number<int>(s) },
        [nameof(IpOptions.FragmentCountMax)] = static (o, s) => o with { FragmentCountMax = Number<int>(s) },
        [nameof(IpOptions.FragmentsPerDatagramMax)] = static (o, s) => o with { FragmentsPerDatagramMax = Number<int>(s) },
        [nameof(IpOptions.ReassemblyTimeoutIPv4Seconds)] = static (o, s) => o with { ReassemblyTimeoutIPv4Seconds = Number<int>(s) },
        [nameof(IpOptions.ReassemblyTimeoutIPv6Seconds)] = static (o, s) => o with { ReassemblyTimeoutIPv6Seconds = Number<int>(s) },
        [nameof(IpOptions.ExtensionHeaderCountMax)] = static (o, s) => o with { ExtensionHeaderCountMax = Number<int>(s) },
        [nameof(IpOptions.IcmpErrorsPerSecond)] = static (o, s) => o with { IcmpErrorsPerSecond = Number<int>(s) },
        [nameof(IpOptions.IcmpErrorBurst)] = static (o, s) => o with { IcmpErrorBurst = Number<int>(s) },
        [nameof(IpOptions.IcmpEchoesPerSecond)] = static (o, s) => o with { IcmpEchoesPerSecond = Number<int>(s) },
        [nameof(IpOptions.IcmpEchoBurst)] = static (o, s) => o with { IcmpEchoBurst = Number<int>(s) },
        [nameof(IpOptions.OutputBurstMax)] = static (o, s) => o with { OutputBurstMax = Number<int>(s) },
        [nameof(IpOptions.OutputReserve)] = static (o, s) => o with { OutputReserve = Number<int>(s) },
        [nameof(IpOptions.DefaultHopLimit)] = static (o, s) => o with { DefaultHopLimit = Number<byte>(s) },
        [nameof(IpOptions.AcceptRedirects)] = static (o, s) => o with { AcceptRedirects = Flag(s) },
        [nameof(IpOptions.EchoEventCountMax)] = static (o, s) => o with { EchoEventCountMax = Number<int>(s) },
        [nameof(IpOptions.EchoCountMax)] = static (o, s) => o with { EchoCountMax = Number<int>(s) },
    };

    private static readonly Dictionary<string, Func<UdpOptions, IConfigurationSection, UdpOptions>> s_udp = new(StringComparer.OrdinalIgnoreCase)
    {
        [nameof(UdpOptions.SocketCountMax)] = static (o, s) => o with { SocketCountMax = Number<int>(s) },
        [nameof(UdpOptions.ReceiveBufferSize)] = static (o, s) => o with { ReceiveBufferSize = Number<int>(s) },
        [nameof(UdpOptions.EphemeralPortMin)] = static (o, s) => o with { EphemeralPortMin = Number<ushort>(s) },
        [nameof(UdpOptions.EphemeralPortMax)] = static (o, s) => o with { EphemeralPortMax = Number<ushort>(s) },
    };

    private static readonly Dictionary<string, Func<StackOptions, IConfigurationSection, StackOptions>> s_stack = new(StringComparer.OrdinalIgnoreCase)
    {
        [nameof(StackOptions.ConnectionCountMax)] = static (o, s) => o with { ConnectionCountMax = Number<int>(s) },
        [nameof(StackOptions.TimeWaitCountMax)] = static (o, s) => o with { TimeWaitCountMax = Number<int>(s) },
        [nameof(StackOptions.SynBacklogCountMax)] = static (o, s) => o with { SynBacklogCountMax = Number<int>(s) },
        [nameof(StackOptions.ListenerCountMax)] = static (o, s) => o with { ListenerCountMax = Number<int>(s) },
        [nameof(StackOptions.FrameCount)] = static (o, s) => o with { FrameCount = Number<int>(s) },
        [nameof(StackOptions.FrameSizeBytes)] = static (o, s) => o with { FrameSizeBytes = Number<int>(s) },
        [nameof(StackOptions.BlockCount)] = static (o, s) => o with { BlockCount = Number<int>(s) },
        [nameof(StackOptions.BlockSizeBytes)] = static (o, s) => o with { BlockSizeBytes = Number<int>(s) },
        [nameof(StackOptions.TransmissionRecordCount)] = static (o, s) => o with { TransmissionRecordCount = Number<int>(s) },
        [nameof(StackOptions.BbrConnectionCountMax)] = static (o, s) => o with { BbrConnectionCountMax = Number<int>(s) },
        [nameof(StackOptions.AccurateEcnConnectionCountMax)] = static (o, s) => o with { AccurateEcnConnectionCountMax = Number<int>(s) },
        [nameof(StackOptions.TimersPerTurnMax)] = static (o, s) => o with { TimersPerTurnMax = Number<int>(s) },
        [nameof(StackOptions.OutputConnectionsPerTurnMax)] = static (o, s) => o with { OutputConnectionsPerTurnMax = Number<int>(s) },
        [nameof(StackOptions.EphemeralPortMin)] = static (o, s) => o with { EphemeralPortMin = Number<ushort>(s) },
        [nameof(StackOptions.EphemeralPortMax)] = static (o, s) => o with { EphemeralPortMax = Number<ushort>(s) },
        [nameof(StackOptions.SynCookies)] = static (o, s) => o with { SynCookies = Flag(s) },
        [nameof(StackOptions.DropUnknownKeys)] = static (o, s) => o with { DropUnknownKeys = Flag(s) },
        [nameof(StackOptions.TimeWaitSeconds)] = static (o, s) => o with { TimeWaitSeconds = Number<int>(s) },
        [nameof(StackOptions.TimeWaitReuseMs)] = static (o, s) => o with { TimeWaitReuseMs = Number<int>(s) },
        [nameof(StackOptions.ChallengeAckIntervalMs)] = static (o, s) => o with { ChallengeAckIntervalMs = Number<int>(s) },
        [nameof(StackOptions.TcpRepliesPerSecond)] = static (o, s) => o with { TcpRepliesPerSecond = Number<int>(s) },
        [nameof(StackOptions.TcpReplyBurst)] = static (o, s) => o with { TcpReplyBurst = Number<int>(s) },
        [nameof(StackOptions.RtoMsMin)] = static (o, s) => o with { RtoMsMin = Number<int>(s) },
        [nameof(StackOptions.RtoMsMax)] = static (o, s) => o with { RtoMsMax = Number<int>(s) },
        [nameof(StackOptions.InitialWindowSegments)] = static (o, s) => o with { InitialWindowSegments = Number<int>(s) },
        [nameof(StackOptions.InitialWindowBytesMax)] = static (o, s) => o with { InitialWindowBytesMax = Number<int>(s) },
        [nameof(StackOptions.MergeReceived)] = static (o, s) => o with { MergeReceived = Flag(s) },
        [nameof(StackOptions.RestartAfterIdle)] = static (o, s) => o with { RestartAfterIdle = Flag(s) },
        [nameof(StackOptions.ListenDropsSynFin)] = static (o, s) => o with { ListenDropsSynFin = Flag(s) },
        [nameof(StackOptions.DropSynFin)] = static (o, s) => o with { DropSynFin = Flag(s) },
        [nameof(StackOptions.RtoSlackMs)] = static (o, s) => o with { RtoSlackMs = Number<int>(s) },
        [nameof(StackOptions.PlainTimeWait)] = static (o, s) => o with { PlainTimeWait = Flag(s) },
        [nameof(StackOptions.SynCookiesOnly)] = static (o, s) => o with { SynCookiesOnly = Flag(s) },
        [nameof(StackOptions.ConnectionDetails)] = static (o, s) => o with { ConnectionDetails = Flag(s) },
        [nameof(StackOptions.RtoVarianceMsMin)] = static (o, s) => o with { RtoVarianceMsMin = Number<int>(s) },
        [nameof(StackOptions.FastOpenCacheCountMax)] = static (o, s) => o with { FastOpenCacheCountMax = Number<int>(s) },
        [nameof(StackOptions.FastOpenDisableSeconds)] = static (o, s) => o with { FastOpenDisableSeconds = Number<int>(s) },
        [nameof(StackOptions.Tcp)] = static (o, s) => o with { Tcp = BindAll(s, o.Tcp, s_tcp) },
        [nameof(StackOptions.Ip)] = static (o, s) => o with { Ip = BindAll(s, o.Ip, s_ip) },
        [nameof(StackOptions.Udp)] = static (o, s) => o with { Udp = BindAll(s, o.Udp, s_udp) },
        ["Profile"] = static (o, _) => o,
    };

    /// <summary>The stack's options with what the section says changed: the profile first, so that whatever is said beside it holds.</summary>
    internal static StackOptions Bind(IConfigurationSection section, StackOptions options)
    {
        var profile = section.GetSection("Profile");
        if (profile.Value is not null) options = (TcpProfile.Find(profile.Value) ?? throw Wrong(profile, "linux or freebsd")).Apply(options);
        return BindAll(section, options, s_stack);
    }
}
