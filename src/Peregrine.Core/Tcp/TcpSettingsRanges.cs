// The ranges of TcpSettings, each checked where settings come from outside.
namespace Peregrine.Core.Tcp;

public sealed partial record TcpSettings
{
    /// <summary>Checks every range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range; the message names setting, value and range.</exception>
    public void Validate()
    {
        Range(nameof(ReceiveBufferBytes), ReceiveBufferBytes, 2_048, 1 << 30);
        Range(nameof(ReceiveBufferBytesMax), ReceiveBufferBytesMax, ReceiveBufferBytes, 1 << 30);
        Range(nameof(SendBufferBytes), SendBufferBytes, 2_048, 1 << 30);
        Range(nameof(SendBufferBytesMax), SendBufferBytesMax, SendBufferBytes, 1 << 30);
        if (MaximumSegmentSize != 0) Range(nameof(MaximumSegmentSize), MaximumSegmentSize, 64, 65_495);
        Range(nameof(DelayedAckMs), DelayedAckMs, 0, 499);
        Range(nameof(SackCompressionCount), SackCompressionCount, 0, 255);
        Range(nameof(SackCompressionDelayNs), SackCompressionDelayNs, 0, 1_000_000_000);
        Range(nameof(SackCompressionSlackNs), SackCompressionSlackNs, 0, 1_000_000_000);
        Range(nameof(QuickAckCount), QuickAckCount, 0, 63);
        Range(nameof(SynRetryCount), SynRetryCount, 0, 15);
        Range(nameof(ForgivenSynLosses), ForgivenSynLosses, 0, 15);
        Range(nameof(SynAckRetryCount), SynAckRetryCount, 0, 15);
        Range(nameof(UserTimeoutMs), UserTimeoutMs, 1, 86_400_000);
        Range(nameof(RetryCount), RetryCount, 0, 15);
        Range(nameof(TimeoutCountMax), TimeoutCountMax, 0, 255);
        Range(nameof(OrphanRetryCount), OrphanRetryCount, 1, 15);
        Range(nameof(KeepAliveTimeSeconds), KeepAliveTimeSeconds, 1, 32_767);
        Range(nameof(KeepAliveIntervalSeconds), KeepAliveIntervalSeconds, 1, 32_767);
        Range(nameof(KeepAliveRetryCount), KeepAliveRetryCount, 1, 127);
        if (FinWait2TimeoutMs is not (0 or -1)) Range(nameof(FinWait2TimeoutMs), FinWait2TimeoutMs, 1_000, 120_000);
        if (ConnectTimeoutMs != 0) Range(nameof(ConnectTimeoutMs), ConnectTimeoutMs, 1_000, 86_400_000);
        Range(nameof(SynOptionsRetryCount), SynOptionsRetryCount, 0, 15);
        Range(nameof(EcnSynRetryCount), EcnSynRetryCount, 0, 15);
        if (!Enum.IsDefined(ConnectErrors)) throw new ArgumentOutOfRangeException(nameof(ConnectErrors), ConnectErrors, "ConnectErrors must be one of: None, Hard, HardAndExpired, All.");
        Range(nameof(UdpEncapsulationPort), UdpEncapsulationPort, 0, 65_535);
        Range(nameof(UnsentBytesMax), UnsentBytesMax, 0, 1 << 30);
        Range(nameof(LingerSeconds), LingerSeconds, -1, 32_767);
        Range(nameof(FastOpenQueueLength), FastOpenQueueLength, 0, 65_535);
        Range(nameof(SlowStartSegmentsPerAck), SlowStartSegmentsPerAck, 1, 65_535);
        if (SlowStartSegmentsMax != 0) Range(nameof(SlowStartSegmentsMax), SlowStartSegmentsMax, 2, 1_000_000);
        if (!Enum.IsDefined(Ecn)) throw new ArgumentOutOfRangeException(nameof(Ecn), Ecn, "Ecn must be one of: Off, On, Accept, Accurate, AcceptAccurate.");
        if (!Enum.IsDefined(Pacing)) throw new ArgumentOutOfRangeException(nameof(Pacing), Pacing, "Pacing must be one of: Auto, Off, On.");
        if (PacingBytesPerSecondMax != 0 && PacingBytesPerSecondMax is < 1_000 or > 1_000_000_000_000)
        {
            throw new ArgumentOutOfRangeException(nameof(PacingBytesPerSecondMax), PacingBytesPerSecondMax,
                $"PacingBytesPerSecondMax is {PacingBytesPerSecondMax}; it must be 0 for no limit, or from 1000 to 1000000000000.");
        }
        Range(nameof(ProbeAckDelayMs), ProbeAckDelayMs, 0, 500);
        Range(nameof(ReorderingMarginMs), ReorderingMarginMs, 0, 500);
        if (!Enum.IsDefined(MtuProbing)) throw new ArgumentOutOfRangeException(nameof(MtuProbing), MtuProbing, "MtuProbing must be one of: Off, BlackHole, Always, Steps.");
        Range(nameof(MtuProbeBaseMss), MtuProbeBaseMss, 48, 65_495);
        Range(nameof(MtuProbeFloorMss), MtuProbeFloorMss, 48, 65_495);
        Range(nameof(PeerMssMin), PeerMssMin, 0, 1_460);
        Range(nameof(MtuProbeThresholdBytes), MtuProbeThresholdBytes, 1, 65_535);
        Range(nameof(MtuProbeIntervalSeconds), MtuProbeIntervalSeconds, 1, 86_400);
        Range(nameof(DeferAcceptSeconds), DeferAcceptSeconds, 0, 3_600);
        Range(nameof(ReceiveLowBytes), ReceiveLowBytes, 1, 1 << 30);
        Range(nameof(FlowLabel), FlowLabel, 0, 0xFFFFF);
        Range(nameof(HopLimit), HopLimit, 1, 255);
        Range(nameof(TrafficClass), TrafficClass, 0, 252);
        if ((TrafficClass & 3) != 0)
            throw new ArgumentOutOfRangeException(nameof(TrafficClass), TrafficClass, "TrafficClass must leave its two ECN bits zero: a multiple of 4.");
        if (!Congestion.CongestionControl.TryParse(CongestionControl, out _))
            throw new ArgumentOutOfRangeException(nameof(CongestionControl), CongestionControl, "CongestionControl must be one of: cubic, reno, dctcp, bbr.");
    }

    private static void Range(string name, int value, int min, int max)
    {
        if (value < min || value > max)
            throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; it must be from {min} to {max}.");
    }
}
