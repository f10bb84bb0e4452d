// One connection's events as a qlog file: a JSON text sequence (RFC 7464), whose first record is qlog's header. Ends at its bound of bytes.
using System.Buffers;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Log;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Qlog;

internal sealed class QlogFile : IDisposable
{
    /// <summary>RFC 7464 §2.2: each JSON text is led in by this.</summary>
    private const byte RecordSeparator = 0x1E;

    private readonly Stream _stream;
    private readonly long _bytesMax;
    private readonly ArrayBufferWriter<byte> _buffer = new(512);
    private readonly Utf8JsonWriter _json;
    private TcpState _state;
    private long _bytes;

    internal QlogFile(Stream stream, long bytesMax)
    {
        (_stream, _bytesMax) = (stream, bytesMax);
        _json = new Utf8JsonWriter(_buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
    }

    /// <summary>Whether the bound is reached and nothing more is written.</summary>
    internal bool IsFull { get; private set; }

    /// <summary>The file's first record.</summary>
    /// <param name="title">What it is a log of.</param>
    /// <param name="clockStart">The time of day at which the stack's clock was 0.</param>
    /// <param name="opened">The event that begins it.</param>
    internal void WriteHeader(string title, DateTimeOffset clockStart, in TcpLogRecord opened)
    {
        _state = opened.State;
        _json.WriteStartObject();
        _json.WriteString("file_schema", "urn:ietf:params:qlog:file:sequential");
        _json.WriteString("serialization_format", "application/qlog+json-seq");
        _json.WriteString("title", title);
        _json.WriteStartObject("trace");
        _json.WriteStartObject("vantage_point");
        _json.WriteString("type", opened.IsActiveOpen ? "client" : "server");
        _json.WriteEndObject();
        _json.WriteStartArray("event_schemas");
        _json.WriteStringValue("urn:peregrine:qlog:events:tcp");
        _json.WriteEndArray();
        _json.WriteStartObject("common_fields");
        _json.WriteString("time_format", "relative_to_epoch");
        _json.WriteStartObject("reference_time");
        _json.WriteString("clock_type", "monotonic");
        _json.WriteString("epoch", "unknown");
        _json.WriteString("wall_clock_time", clockStart.UtcDateTime.ToString("O", CultureInfo.InvariantCulture));
        _json.WriteEndObject();
        _json.WriteEndObject();
        _json.WriteEndObject();
        _json.WriteEndObject();
        EndRecord();
    }

    /// <summary>One event.</summary>
    internal void Write(in TcpLogRecord record)
    {
        if (IsFull) return;
        _json.WriteStartObject();
        _json.WriteNumber("time", Ms(record.Time - default(Instant)));
        _json.WriteString("name", NameOf(record.Kind));
        _json.WriteStartObject("data");
        switch (record.Kind)
        {
            case TcpLogKind.Opened:
                _json.WriteString("local", record.Local.ToString());
                _json.WriteString("remote", record.Remote.ToString());
                _json.WriteString("state", record.State.ToString());
                break;
            case TcpLogKind.StateChanged:
                _json.WriteString("old", _state.ToString());
                _json.WriteString("new", record.State.ToString());
                _state = record.State;
                break;
            case TcpLogKind.SegmentSent or TcpLogKind.SegmentReceived:
                Segment(record);
                break;
            case TcpLogKind.MetricsUpdated:
                Metrics(record.Metrics);
                break;
            case TcpLogKind.CongestionStateChanged:
                _json.WriteString("new", JsonNamingPolicy.SnakeCaseLower.ConvertName(record.Congestion.ToString()));
                break;
            case TcpLogKind.Lost:
                _json.WriteNumber("bytes", record.Bytes);
                break;
            case TcpLogKind.Closed:
                _json.WriteString("old", record.State.ToString());
                _json.WriteString("error", record.Error.ToString());
                break;
        }
        _json.WriteEndObject();
        _json.WriteEndObject();
        EndRecord();
    }

    internal void Flush() => _stream.Flush();

    public void Dispose()
    {
        _json.Dispose();
        _stream.Dispose();
    }

    // The names that the schemas for QUIC have for the same things, so that tools made for those find them.
    private static string NameOf(TcpLogKind kind) => kind switch
    {
        TcpLogKind.Opened => "connectivity:connection_started",
        TcpLogKind.StateChanged => "connectivity:connection_state_updated",
        TcpLogKind.SegmentSent => "transport:packet_sent",
        TcpLogKind.SegmentReceived => "transport:packet_received",
        TcpLogKind.MetricsUpdated => "recovery:metrics_updated",
        TcpLogKind.CongestionStateChanged => "recovery:congestion_state_updated",
        TcpLogKind.Lost => "recovery:packet_lost",
        TcpLogKind.Spurious => "recovery:spurious_loss",
        TcpLogKind.RetransmissionTimeout => "recovery:loss_timer_expired",
        _ => "connectivity:connection_closed",
    };

    private void Segment(in TcpLogRecord record)
    {
        var segment = record.Segment;
        _json.WriteStartObject("header");
        _json.WriteString("flags", FlagsOf(segment.Flags));
        _json.WriteNumber("seq", segment.Seq.Value);
        if (segment.Has(TcpFlags.Ack)) _json.WriteNumber("ack", segment.Ack.Value);
        _json.WriteNumber("window", segment.Window.Value);
        if (segment.Options.SackBlockCount > 0) Sack(segment.Options);
        _json.WriteEndObject();
        _json.WriteNumber("length", segment.PayloadLength);
        if (record.IsRetransmission) _json.WriteBoolean("is_retransmission", true);
    }

    private void Sack(in TcpOptions options)
    {
        _json.WriteStartArray("sack");
        foreach (var block in options.SackBlocks)
        {
            _json.WriteStartArray();
            _json.WriteNumberValue(block.Left.Value);
            _json.WriteNumberValue(block.Right.Value);
            _json.WriteEndArray();
        }
        _json.WriteEndArray();
    }

    private void Metrics(in TcpLogMetrics metrics)
    {
        if (metrics.SmoothedRtt > Duration.Zero)
        {
            _json.WriteNumber("smoothed_rtt", Ms(metrics.SmoothedRtt));
            _json.WriteNumber("rtt_variance", Ms(metrics.RttVariation));
            _json.WriteNumber("min_rtt", Ms(metrics.MinimumRtt));
        }
        _json.WriteNumber("congestion_window", metrics.CongestionWindow);
        _json.WriteNumber("bytes_in_flight", metrics.FlightSize);
        if (metrics.SlowStartThreshold != uint.MaxValue) _json.WriteNumber("ssthresh", metrics.SlowStartThreshold);
    }

    private static string FlagsOf(TcpFlags flags) => flags.ToString().ToUpperInvariant().Replace(", ", "|", StringComparison.Ordinal);

    // qlog's unit of time.
    private static decimal Ms(Duration time) => time.Nanoseconds / 1_000_000m;

    private void EndRecord()
    {
        _json.Flush();
        var record = _buffer.WrittenSpan;
        if (_bytes + record.Length + 2 > _bytesMax) IsFull = true;
        if (!IsFull)
        {
            _stream.WriteByte(RecordSeparator);
            _stream.Write(record);
            _stream.WriteByte((byte)'\n');
            _bytes += record.Length + 2;
        }
        _buffer.ResetWrittenCount();
        _json.Reset();
    }
}
