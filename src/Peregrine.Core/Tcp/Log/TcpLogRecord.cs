// One thing that happened to a connection, as whoever keeps a log of it is told. Values only; what a file makes of it is the reader's affair.
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Log;

/// <summary>What happened.</summary>
public enum TcpLogKind : byte
{
    /// <summary>The connection began: <see cref="TcpLogRecord.Local"/>, <see cref="TcpLogRecord.Remote"/>, <see cref="TcpLogRecord.IsActiveOpen"/>.</summary>
    Opened,

    /// <summary>Its state is another: <see cref="TcpLogRecord.State"/>.</summary>
    StateChanged,

    /// <summary>A segment was sent: <see cref="TcpLogRecord.Segment"/>, <see cref="TcpLogRecord.IsRetransmission"/>.</summary>
    SegmentSent,

    /// <summary>A segment was received, and has not been judged: <see cref="TcpLogRecord.Segment"/>.</summary>
    SegmentReceived,

    /// <summary>Window, threshold or round-trip time are others: <see cref="TcpLogRecord.Metrics"/>.</summary>
    MetricsUpdated,

    /// <summary>Congestion control is in another phase: <see cref="TcpLogRecord.Congestion"/>.</summary>
    CongestionStateChanged,

    /// <summary>Data were found lost: <see cref="TcpLogRecord.Bytes"/>.</summary>
    Lost,

    /// <summary>What had been found lost was not, and the window was given back (RFC 4015).</summary>
    Spurious,

    /// <summary>The retransmission timer expired (RFC 6298 §5.4).</summary>
    RetransmissionTimeout,

    /// <summary>The protocol is finished with the connection: <see cref="TcpLogRecord.Error"/>.</summary>
    Closed,
}

/// <summary>What congestion control does.</summary>
public enum TcpCongestionPhase : byte
{
    /// <summary>The window is below the threshold.</summary>
    SlowStart,

    /// <summary>The window is at the threshold or above it.</summary>
    CongestionAvoidance,

    /// <summary>Fast recovery (RFC 5681 §3.2).</summary>
    Recovery,

    /// <summary>Repair after a retransmission time-out.</summary>
    Loss,
}

/// <summary>A sender's numbers at a moment.</summary>
/// <param name="CongestionWindow">Bytes.</param>
/// <param name="SlowStartThreshold">Bytes; uint.MaxValue before the first loss.</param>
/// <param name="FlightSize">Bytes sent and not acknowledged.</param>
/// <param name="SmoothedRtt">Zero before the first sample.</param>
/// <param name="RttVariation">Variation of the round-trip time.</param>
/// <param name="MinimumRtt">Zero before the first sample.</param>
public readonly record struct TcpLogMetrics(
    uint CongestionWindow, uint SlowStartThreshold, uint FlightSize, Duration SmoothedRtt, Duration RttVariation, Duration MinimumRtt);

/// <summary>One event of a connection. Which members mean something says <see cref="Kind"/>.</summary>
public readonly record struct TcpLogRecord
{
    /// <summary>What happened.</summary>
    public TcpLogKind Kind { get; init; }

    /// <summary>Number of the connection among those that were logged, from 1.</summary>
    public long Connection { get; init; }

    /// <summary>When.</summary>
    public Instant Time { get; init; }

    /// <summary>Own address and port.</summary>
    public Endpoint Local { get; init; }

    /// <summary>The peer's address and port.</summary>
    public Endpoint Remote { get; init; }

    /// <summary>Whether we opened it.</summary>
    public bool IsActiveOpen { get; init; }

    /// <summary>The state now.</summary>
    public TcpState State { get; init; }

    /// <summary>Congestion control's phase now.</summary>
    public TcpCongestionPhase Congestion { get; init; }

    /// <summary>The sender's numbers now.</summary>
    public TcpLogMetrics Metrics { get; init; }

    /// <summary>The segment.</summary>
    public TcpSegment Segment { get; init; }

    /// <summary>Whether the segment was sent before.</summary>
    public bool IsRetransmission { get; init; }

    /// <summary>Payload bytes.</summary>
    public uint Bytes { get; init; }

    /// <summary>Why the connection ended, or Success after an orderly end.</summary>
    public SocketError Error { get; init; }
}

/// <summary>Takes a stack's records of events, on the stack's own thread: it must not block, and what it throws stops the stack.</summary>
public interface ITcpEventSink
{
    /// <summary>Something happened to a connection whose settings ask for a log.</summary>
    void OnEvent(in TcpLogRecord record);
}
