// A stream over UDP: each datagram begins with the time it was sent and its number, from which the receiver knows loss, order and jitter.
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Sockets;

namespace Peregrine.Iperf3;

internal sealed class UdpTestStream : TestStream
{
    /// <summary>The client's first datagram and the server's answer. Numbers in the senders' byte order; little-endian everywhere by now.</summary>
    internal const uint Hello = 0x36373839, Answer = 0x39383736;

    /// <summary>What older versions say.</summary>
    internal const uint OldHello = 123_456_789, OldAnswer = 987_654_321;

    private readonly UdpSocket _socket;
    private readonly Gate _gate = new();
    private byte[] _buffer = [];
    private bool _isClosed;
    private bool _hasTransit;
    private double _lastTransit;
    private long _packetsAtReset;
    private ulong _sent;
    private long _highest;

    internal UdpTestStream(Iperf3Test test, int id, bool isSender, UdpSocket socket)
        : base(test, id, isSender)
    {
        _socket = socket;
        Remote = socket.RemoteEndPoint!;
    }

    internal override IPEndPoint Local => _socket.LocalEndPoint;

    internal override IPEndPoint Remote { get; }

    internal override void Start()
    {
        _buffer = new byte[IsSender ? Test.Parameters.Length : OptionReader.UdpBlockSizeMax];
        if (IsSender) Test.Payload.AsSpan(0, _buffer.Length).CopyTo(_buffer);
        _ = IsSender ? SendAsync() : ReceiveAsync();
    }

    internal override void Pump() => _gate.Open();

    public override void Dispose()
    {
        _isClosed = true;
        _gate.Open();
        _socket.Dispose();
    }

    internal override void Reset()
    {
        base.Reset();
        _packetsAtReset = _highest;
        if (!IsSender) Packets = 0;
        EndInterval(0, 0, omitted: true);
    }

    private async Task SendAsync()
    {
        try
        {
            while (!_isClosed)
            {
                if (!Test.MayBegin(this))
                {
                    // Without a context the opener runs the loop itself, and that is the core.
                    await _gate.WaitAsync().ConfigureAwait(false);
                    continue;
                }
                var length = Test.FillBlock(ref _buffer);
                if (length == 0) return;
                WriteHeader();
                await _socket.SendAsync(_buffer.AsMemory(0, length));
                if (Test.HasEnded) return;
                Bytes += length;
                Blocks++;
                Packets++;
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            if (!_isClosed && Test.IsRunning) Fail(ControlChannel.Code(e));
        }
    }

    private async Task ReceiveAsync()
    {
        try
        {
            while (!_isClosed) OnDatagram(_buffer.AsSpan(0, await _socket.ReceiveAsync(_buffer)));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            if (!_isClosed && Test.IsRunning) Fail(ControlChannel.Code(e));
        }
    }

    private void WriteHeader()
    {
        var now = Test.Now;
        BinaryPrimitives.WriteUInt32BigEndian(_buffer, (uint)(now.Nanoseconds / 1_000_000_000));
        BinaryPrimitives.WriteUInt32BigEndian(_buffer.AsSpan(4), (uint)(now.Nanoseconds / 1_000 % 1_000_000));
        _sent++;
        if (Test.Parameters.UdpCounters64Bit) BinaryPrimitives.WriteUInt64BigEndian(_buffer.AsSpan(8), _sent);
        else BinaryPrimitives.WriteUInt32BigEndian(_buffer.AsSpan(8), (uint)_sent);
    }

    private void OnDatagram(ReadOnlySpan<byte> datagram)
    {
        var now = Test.Now;
        LastReceived = now;
        // A greeting that was repeated, or rubbish: not of this test.
        if (Test.HasEnded || datagram.Length < Test.Parameters.HeaderLength) return;
        Bytes += datagram.Length;
        Blocks++;
        var number = Test.Parameters.UdpCounters64Bit ? (long)Math.Min(BinaryPrimitives.ReadUInt64BigEndian(datagram[8..]), long.MaxValue) : BinaryPrimitives.ReadUInt32BigEndian(datagram[8..]);
        if (number > _highest)
        {
            Lost += number - _highest - 1;
            _highest = number;
            Packets = _highest - _packetsAtReset;
        }
        else
        {
            OutOfOrder++;
            if (Lost > 0) Lost--;
        }
        // RFC 3550 §6.4.1: the interarrival jitter.
        var sent = BinaryPrimitives.ReadUInt32BigEndian(datagram) + (BinaryPrimitives.ReadUInt32BigEndian(datagram[4..]) / 1e6);
        var transit = (now.Nanoseconds / 1e9) - sent;
        if (_hasTransit) JitterSeconds += (Math.Abs(transit - _lastTransit) - JitterSeconds) / 16;
        (_lastTransit, _hasTransit) = (transit, true);
        Test.OnReceived(datagram);
    }
}
