// From .NET configuration to the options record, by hand: no reflection, so it trims, and a misspelled key is an error that names it
// instead of a setting that silently does nothing.
using System.Globalization;
using Microsoft.Extensions.Configuration;
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Sockets;

namespace Peregrine;

/// <summary>Reads <see cref="PeregrineOptions"/> from configuration.</summary>
public static class PeregrineConfiguration
{
    private static readonly Dictionary<string, Func<PeregrineOptions, IConfigurationSection, PeregrineOptions>> s_settings = new(StringComparer.OrdinalIgnoreCase)
    {
        ["Name"] = static (o, s) => o with { Name = Text(s) },
        ["Addresses"] = static (o, s) => o with { Addresses = Texts(s) },
        ["Gateways"] = static (o, s) => o with { Gateways = Texts(s) },
        ["MtuBytes"] = static (o, s) => o with { MtuBytes = Number(s) },
        ["Autoconfigure"] = static (o, s) => o with { Autoconfigure = Flag(s) },
        ["Cpu"] = static (o, s) => o with { Cpu = Number(s) },
        ["Idle"] = static (o, s) => o with { Idle = Choice<IdleMode>(s) },
        ["SpinUs"] = static (o, s) => o with { SpinUs = Number(s) },
        ["CompletionMode"] = static (o, s) => o with { CompletionMode = Choice<CompletionMode>(s) },
        ["UseSynchronizationContext"] = static (o, s) => o with { UseSynchronizationContext = Flag(s) },
        ["HugePages"] = static (o, s) => o with { HugePages = Flag(s) },
        ["FramesPerTurnMax"] = static (o, s) => o with { FramesPerTurnMax = Number(s) },
        ["CommandsPerTurnMax"] = static (o, s) => o with { CommandsPerTurnMax = Number(s) },
        ["EventsPerTurnMax"] = static (o, s) => o with { EventsPerTurnMax = Number(s) },
        ["MailboxCount"] = static (o, s) => o with { MailboxCount = Number(s) },
        ["StopGraceMs"] = static (o, s) => o with { StopGraceMs = Number(s) },
        ["CallbackLimitMs"] = static (o, s) => o with { CallbackLimitMs = Number(s) },
        ["LinkCheckMs"] = static (o, s) => o with { LinkCheckMs = Number(s) },
        ["ProfileEveryTurns"] = static (o, s) => o with { ProfileEveryTurns = Number(s) },
        ["QlogDirectory"] = static (o, s) => o with { QlogDirectory = Text(s) },
        ["QlogBytesMax"] = static (o, s) => o with { QlogBytesMax = Number(s) },
        ["QlogFileCountMax"] = static (o, s) => o with { QlogFileCountMax = Number(s) },
        ["ControlSocket"] = static (o, s) => o with { ControlSocket = Text(s) },
        ["Hosts"] = static (o, s) => o with { Hosts = s.GetChildren().ToDictionary(static h => h.Key, static h => Texts(h), StringComparer.OrdinalIgnoreCase) },
        ["UseSystemResolver"] = static (o, s) => o with { UseSystemResolver = Flag(s) },
        ["Stack"] = static (o, s) => o with { Stack = BindAll(s, o.Stack, s_stack!) },
    };

    private static readonly Dictionary<string, Func<StackOptions, IConfigurationSection, StackOptions>> s_stack = new(StringComparer.OrdinalIgnoreCase)
    {
        ["Profile"] = static (o, s) => (TcpProfile.Find(Text(s)) ?? throw Wrong(s, "linux or freebsd")).Apply(o),
        ["ConnectionDetails"] = static (o, s) => o with { ConnectionDetails = Flag(s) },
        ["FastOpenCacheCountMax"] = static (o, s) => o with { FastOpenCacheCountMax = Number(s) },
        ["ConnectionCountMax"] = static (o, s) => o with { ConnectionCountMax = Number(s) },
        ["TimeWaitCountMax"] = static (o, s) => o with { TimeWaitCountMax = Number(s) },
        ["SynBacklogCountMax"] = static (o, s) => o with { SynBacklogCountMax = Number(s) },
        ["ListenerCountMax"] = static (o, s) => o with { ListenerCountMax = Number(s) },
        ["FrameCount"] = static (o, s) => o with { FrameCount = Number(s) },
        ["FrameSizeBytes"] = static (o, s) => o with { FrameSizeBytes = Number(s) },
        ["BlockCount"] = static (o, s) => o with { BlockCount = Number(s) },
        ["BlockSizeBytes"] = static (o, s) => o with { BlockSizeBytes = Number(s) },
        ["TransmissionRecordCount"] = static (o, s) => o with { TransmissionRecordCount = Number(s) },
        ["BbrConnectionCountMax"] = static (o, s) => o with { BbrConnectionCountMax = Number(s) },
        ["AccurateEcnConnectionCountMax"] = static (o, s) => o with { AccurateEcnConnectionCountMax = Number(s) },
        ["TimersPerTurnMax"] = static (o, s) => o with { TimersPerTurnMax = Number(s) },
        ["OutputConnectionsPerTurnMax"] = static (o, s) => o with { OutputConnectionsPerTurnMax = Number(s) },
        ["SynCookies"] = static (o, s) => o with { SynCookies = Flag(s) },
        ["DropUnknownKeys"] = static (o, s) => o with { DropUnknownKeys = Flag(s) },
        ["TimeWaitSeconds"] = static (o, s) => o with { TimeWaitSeconds = Number(s) },
        ["Tcp"] = static (o, s) => o with { Tcp = BindAll(s, o.Tcp, s_tcp!) },
    };

    private static readonly Dictionary<string, Func<TcpSettings, IConfigurationSection, TcpSettings>> s_tcp = new(StringComparer.OrdinalIgnoreCase)
    {
        ["NoDelay"] = static (o, s) => o with { NoDelay = Flag(s) },
        ["ReceiveBufferBytes"] = static (o, s) => o with { ReceiveBufferBytes = Number(s) },
        ["ReceiveBufferBytesMax"] = static (o, s) => o with { ReceiveBufferBytesMax = Number(s) },
        ["SendBufferBytes"] = static (o, s) => o with { SendBufferBytes = Number(s) },
        ["SendBufferBytesMax"] = static (o, s) => o with { SendBufferBytesMax = Number(s) },
        ["DelayedAckMs"] = static (o, s) => o with { DelayedAckMs = Number(s) },
        ["QuickAckCount"] = static (o, s) => o with { QuickAckCount = Number(s) },
        ["MaximumSegmentSize"] = static (o, s) => o with { MaximumSegmentSize = Number(s) },
        ["SynRetryCount"] = static (o, s) => o with { SynRetryCount = Number(s) },
        ["SynAckRetryCount"] = static (o, s) => o with { SynAckRetryCount = Number(s) },
        ["ConnectTimeoutMs"] = static (o, s) => o with { ConnectTimeoutMs = Number(s) },
        ["FinWait2TimeoutMs"] = static (o, s) => o with { FinWait2TimeoutMs = Number(s) },
        ["Cork"] = static (o, s) => o with { Cork = Flag(s) },
        ["UnsentBytesMax"] = static (o, s) => o with { UnsentBytesMax = Number(s) },
        ["ReceiveLowBytes"] = static (o, s) => o with { ReceiveLowBytes = Number(s) },
        ["DeferAcceptSeconds"] = static (o, s) => o with { DeferAcceptSeconds = Number(s) },
        ["FastOpenConnect"] = static (o, s) => o with { FastOpenConnect = Flag(s) },
        ["FastOpenQueueLength"] = static (o, s) => o with { FastOpenQueueLength = Number(s) },
        ["FlowLabel"] = static (o, s) => o with { FlowLabel = Number(s) },
        ["Timestamps"] = static (o, s) => o with { Timestamps = Flag(s) },
        ["SelectiveAcknowledgments"] = static (o, s) => o with { SelectiveAcknowledgments = Flag(s) },
        ["WindowScaling"] = static (o, s) => o with { WindowScaling = Flag(s) },
        ["UserTimeoutMs"] = static (o, s) => o with { UserTimeoutMs = Number(s) },
        ["KeepAlive"] = static (o, s) => o with { KeepAlive = Flag(s) },
        ["KeepAliveTimeSeconds"] = static (o, s) => o with { KeepAliveTimeSeconds = Number(s) },
        ["KeepAliveIntervalSeconds"] = static (o, s) => o with { KeepAliveIntervalSeconds = Number(s) },
        ["KeepAliveRetryCount"] = static (o, s) => o with { KeepAliveRetryCount = Number(s) },
        ["Rack"] = static (o, s) => o with { Rack = Flag(s) },
        ["TailLossProbe"] = static (o, s) => o with { TailLossProbe = Flag(s) },
        ["ProbeAckDelayMs"] = static (o, s) => o with { ProbeAckDelayMs = Number(s) },
        ["ProportionalRateReduction"] = static (o, s) => o with { ProportionalRateReduction = Flag(s) },
        ["ForwardRto"] = static (o, s) => o with { ForwardRto = Flag(s) },
        ["EifelUndo"] = static (o, s) => o with { EifelUndo = Flag(s) },
        ["DsackUndo"] = static (o, s) => o with { DsackUndo = Flag(s) },
        ["HyStart"] = static (o, s) => o with { HyStart = Flag(s) },
        ["SlowStartSegmentsPerAck"] = static (o, s) => o with { SlowStartSegmentsPerAck = Number(s) },
        ["SlowStartAfterIdle"] = static (o, s) => o with { SlowStartAfterIdle = Flag(s) },
        ["RtoRestart"] = static (o, s) => o with { RtoRestart = Flag(s) },
        ["Ecn"] = static (o, s) => o with { Ecn = Choice<TcpEcnMode>(s) },
        ["CongestionControl"] = static (o, s) => o with { CongestionControl = Text(s) },
        ["Pacing"] = static (o, s) => o with { Pacing = Choice<TcpPacingMode>(s) },
        ["PacingBytesPerSecondMax"] = static (o, s) => o with { PacingBytesPerSecondMax = LongNumber(s) },
        ["MtuProbing"] = static (o, s) => o with { MtuProbing = Choice<TcpMtuProbingMode>(s) },
        ["MtuProbeBaseMss"] = static (o, s) => o with { MtuProbeBaseMss = Number(s) },
        ["MtuProbeFloorMss"] = static (o, s) => o with { MtuProbeFloorMss = Number(s) },
        ["MtuProbeThresholdBytes"] = static (o, s) => o with { MtuProbeThresholdBytes = Number(s) },
        ["MtuProbeIntervalSeconds"] = static (o, s) => o with { MtuProbeIntervalSeconds = Number(s) },
        ["EventLog"] = static (o, s) => o with { EventLog = Flag(s) },
        ["HopLimit"] = static (o, s) => o with { HopLimit = Number(s) },
        ["TrafficClass"] = static (o, s) => o with { TrafficClass = Number(s) },
    };

    /// <summary>Gives the options with what the section says changed, and validated.</summary>
    /// <param name="section">The section whose keys are settings: usually "Peregrine".</param>
    /// <param name="options">What to start from; null for the defaults.</param>
    /// <exception cref="ArgumentException">A key is no setting, or a value is not what it should be; the message names it.</exception>
    public static PeregrineOptions Bind(IConfiguration section, PeregrineOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(section);
        var bound = BindAll(section, options ?? new PeregrineOptions(), s_settings);
        bound.Validate();
        return bound;
    }

    private static T BindAll<T>(IConfiguration section, T options, Dictionary<string, Func<T, IConfigurationSection, T>> settings)
    {
        foreach (var child in section.GetChildren())
        {
            if (!settings.TryGetValue(child.Key, out var set))
                throw new ArgumentException($"{child.Path} is no setting. Settings here are: {string.Join(", ", settings.Keys)}.");
            options = set(options, child);
        }
        return options;
    }

    private static string Text(IConfigurationSection section) => section.Value ?? throw Wrong(section, "a text");

    private static IReadOnlyList<string> Texts(IConfigurationSection section) =>
        section.Value is { } one ? one.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) : section.GetChildren().Select(Text).ToArray();

    private static int Number(IConfigurationSection section) =>
        int.TryParse(section.Value, NumberStyles.Integer, CultureInfo.InvariantCulture, out var value) ? value : throw Wrong(section, "a whole number");

    private static long LongNumber(IConfigurationSection section) =>
        long.TryParse(section.Value, NumberStyles.Integer, CultureInfo.InvariantCulture, out var value) ? value : throw Wrong(section, "a whole number");

    private static bool Flag(IConfigurationSection section) => bool.TryParse(section.Value, out var value) ? value : throw Wrong(section, "true or false");

    private static T Choice<T>(IConfigurationSection section)
        where T : struct, Enum =>
        Enum.TryParse<T>(section.Value, ignoreCase: true, out var value) && Enum.IsDefined(value) ? value : throw Wrong(section, "one of " + string.Join(", ", Enum.GetNames<T>()));

    private static ArgumentException Wrong(IConfigurationSection section, string wanted) => new($"{section.Path} is \"{section.Value}\"; it must be {wanted}.");
}
