// One real host against a peer that is driven by hand, segment by segment: what the host is sent and what it answers, each looked at alone.
// After every segment sent it checks that exactly one terminal counter moved by one.
using System.Net.Sockets;
using Peregrine.Core;
using Peregrine.Core.Links;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests.SegmentTests;

/// <summary>A segment that the host sent.</summary>
public sealed record Answer(Instant At, TcpSegment Segment, byte[] Payload, ushort From, ushort To)
{
    public TcpFlags Flags => Segment.Flags;

    public SeqNumber Seq => Segment.Seq;

    public SeqNumber Ack => Segment.Ack;

    public int Window => Segment.Window.Value;

    /// <summary>The ECN bits of the IP header.</summary>
    public int Ecn { get; init; }

    public AccurateEcnOption? AccurateEcn => Segment.OptionsRef.HasAccurateEcn ? Segment.OptionsRef.AccurateEcn : null;

    public SackBlock[] Sacks => Segment.OptionsRef.SackBlocks.ToArray();
}

public sealed class Peer : IDisposable
{
    public const TcpFlags Syn = TcpFlags.Syn, Ack = TcpFlags.Ack, Fin = TcpFlags.Fin, Rst = TcpFlags.Rst, Psh = TcpFlags.Psh, Urg = TcpFlags.Urg;
    public const ushort HostPort = 80;

    private readonly VirtualWire _wire = new(new WireOptions { Delay = Duration.Zero }, 1);

    public Peer(StackOptions? options = null, bool v6 = false)
    {
        Now = new Instant(1_000_000_000);
        Host = new Host("host", 1, options ?? Host.SmallOptions, 7, Now, LinkMedium.Ip);
        V6 = v6;
        Address = v6 ? IpAddress.Parse("fd00::2") : IpAddress.FromIPv4(10, 0, 0, 2);
        Pump();
        Inbox.Clear();
    }

    public Host Host { get; }

    public TcpLayer Tcp => Host.Tcp;

    public bool V6 { get; }

    public IpAddress Address { get; set; }

    public IpAddress HostAddress => V6 ? Host.AddressV6 : Host.Address;

    public ushort Port { get; set; } = 4_000;

    public Instant Now { get; private set; }

    /// <summary>The peer's initial sequence number: near the wrap, so that every test crosses it.</summary>
    public SeqNumber Iss { get; set; } = new(uint.MaxValue - 20);

    /// <summary>What the peer sends next.</summary>
    public SeqNumber Next { get; set; }

    /// <summary>The host's initial sequence number.</summary>
    public SeqNumber HostIss { get; private set; }

    /// <summary>What the peer has seen of the host's sequence, plus one.</summary>
    public SeqNumber HostNext { get; set; }

    public bool Timestamps { get; set; }

    public uint TsVal { get; set; } = 1_000;

    public uint TsEcr { get; set; }

    /// <summary>ECN bits of the IP header of what the peer sends.</summary>
    public byte Ecn { get; set; }

    public TcpListenerHandle Listener { get; private set; }

    public Queue<Answer> Inbox { get; } = [];

    public Queue<byte[]> Others { get; } = [];

    /// <summary>Sends one segment; what is not said follows from the connection.</summary>
    public void Send(
        TcpFlags flags, SeqNumber? seq = null, SeqNumber? ack = null, int length = 0, ushort window = ushort.MaxValue,
        TcpOptions options = default, ushort urgent = 0, IpAddress? to = null, bool reachesTcp = true)
    {
        if (Timestamps && !options.HasTimestamps) options.SetTimestamps(TsVal, TsEcr);
        var start = seq ?? Next;
        var segment = new TcpSegment
        {
            Seq = start,
            Ack = ack ?? ((flags & Ack) != 0 ? HostNext : default),
            Flags = flags,
            Window = new UnscaledWindow(window),
            UrgentPointer = urgent,
            Options = options,
        };
        var payload = new byte[length];
        for (var i = 0; i < length; i++) payload[i] = Byte(start + (uint)i);
        Raw(RawTcp.Packet(Address, Port, to ?? HostAddress, HostPortOf, segment, payload, Ecn), reachesTcp);
    }

    /// <summary>The next segment in the peer's order: sent, and counted as sent.</summary>
    public void SendNext(int length, TcpFlags flags = Ack, ushort window = ushort.MaxValue)
    {
        Send(flags, length: length, window: window);
        Next += (uint)length + ((flags & Fin) != 0 ? 1u : 0);
    }

    /// <summary>What is to be delivered in one burst, while one is made.</summary>
    public List<byte[]>? Held { get; private set; }

    /// <summary>Delivers all that is sent meanwhile in one burst, as a link would.</summary>
    public void Burst(Action send, bool pad = false)
    {
        Held = [];
        send();
        List<byte[]> packets = [.. Held.Select(packet => pad && packet.Length < 46 ? [.. packet, .. new byte[46 - packet.Length]] : packet)];
        Held = null;
        var before = TcpTerminals.Sum(Tcp.Counters);
        Host.Deliver(packets, Now);
        Assert.Equal(before + packets.Count, TcpTerminals.Sum(Tcp.Counters));
        Pump();
    }

    public void SendBare(TcpFlags flags, SeqNumber? seq = null)
    {
        var before = Timestamps;
        Timestamps = false;
        Send(flags, seq);
        Timestamps = before;
    }

    public void Raw(byte[] packet, bool reachesTcp = true)
    {
        if (Held is { } held)
        {
            held.Add(packet);
            return;
        }
        var before = TcpTerminals.Sum(Tcp.Counters);
        Host.Deliver(packet, Now);
        Assert.Equal(before + (reachesTcp ? 1 : 0), TcpTerminals.Sum(Tcp.Counters));
        Pump();
    }

    /// <summary>The byte of the peer's stream at a sequence number.</summary>
    public byte Byte(SeqNumber seq) => Transfer.Pattern(seq - (Iss + 1));

    /// <summary>The port of the host that the peer talks to.</summary>
    public ushort HostPortOf { get; set; } = HostPort;

    /// <summary>Lets the host do what it wants to do now.</summary>
    public void Pump()
    {
        for (var i = 0; ; i++)
        {
            Assert.True(i < 10_000, "the host does not come to rest");
            var busy = Host.Turn(Now, _wire);
            while (_wire.TryReceive(Now, out var packet))
            {
                if (RawTcp.TryRead(packet, out var from, out var to, out var segment, out var payload))
                    Inbox.Enqueue(new Answer(Now, segment, payload, from, to) { Ecn = (packet[0] >> 4 == 4 ? packet[1] : packet[1] >> 4) & 3 });
                else Others.Enqueue(packet);
            }
            if (!busy && !Host.Stack.HasWork) return;
        }
    }

    public void Advance(Duration time)
    {
        var end = Now + time;
        while (true)
        {
            Pump();
            var next = Host.Stack.NextDeadline(Now);
            if (next > end) break;
            Now = next > Now ? next : Now + new Duration(1_000);
        }
        Now = end;
        Pump();
    }

    public void Advance(int milliseconds) => Advance(Duration.FromMilliseconds(milliseconds));

    /// <summary>The host's next segment, which must be there.</summary>
    public Answer Take()
    {
        Pump();
        Assert.True(Inbox.Count > 0, "the host said nothing");
        var answer = Inbox.Dequeue();
        if (answer.Segment.Length > 0 && (answer.Flags & Rst) == 0) HostNext = SeqNumber.Max(HostNext, answer.Segment.End);
        if (answer.Segment.OptionsRef.HasTimestamps) TsEcr = answer.Segment.OptionsRef.TsVal;
        return answer;
    }

    /// <summary>The host's next segment, which must be a bare ACK of what the peer has sent, and nothing more.</summary>
    public Answer ExpectAck(SeqNumber? ack = null)
    {
        var answer = Take();
        Assert.Equal((Ack, 0), (answer.Flags, answer.Payload.Length));
        Assert.Equal(ack ?? Next, answer.Ack);
        ExpectSilence();
        return answer;
    }

    public void ExpectSilence()
    {
        Pump();
        Assert.True(Inbox.Count == 0, Inbox.Count == 0 ? "" : $"the host said: {Inbox.Peek().Segment}");
    }

    /// <summary>Opens a listener.</summary>
    public void Listen(TcpSettings? settings = null, int backlog = 16)
    {
        Assert.Equal(SocketError.Success, Tcp.Listen(new TcpListenOptions(new Endpoint(HostAddress, HostPort), backlog, false, settings), out var listener));
        Listener = listener;
    }

    /// <summary>Sends a SYN and takes the SYN-ACK; Next and HostNext stand behind them.</summary>
    public Answer SynExchange(TcpOptions? offer = null, ushort window = ushort.MaxValue)
    {
        var options = offer ?? Offer();
        Timestamps = options.HasTimestamps;
        Send(Syn, Iss, window: window, options: options);
        Next = Iss + 1;
        var answer = Take();
        Assert.Equal(Syn | Ack, answer.Flags);
        Assert.Equal(Next, answer.Ack);
        (HostIss, HostNext) = (answer.Seq, answer.Seq + 1);
        Timestamps = options.HasTimestamps && answer.Segment.OptionsRef.HasTimestamps;
        return answer;
    }

    /// <summary>A connection that the peer opened and the host accepted.</summary>
    public TcpHandle Accept(TcpSettings? settings = null, TcpOptions? options = null, ushort window = ushort.MaxValue)
    {
        Listen(settings);
        SynExchange(options, window);
        Send(Ack, window: window);
        Assert.True(Tcp.TryAccept(Listener, out var connection));
        Assert.Equal(TcpState.Established, State(connection));
        ExpectSilence();
        return connection;
    }

    /// <summary>A connection attempt of the host, its SYN taken.</summary>
    public TcpHandle Connect(out Answer syn, TcpSettings? settings = null)
    {
        Assert.Equal(SocketError.Success, Tcp.Connect(new TcpConnectOptions(new Endpoint(Address, Port), default, settings), Now, out var connection));
        syn = Take();
        Assert.Equal(Syn, syn.Flags & ~(TcpFlags.Ece | TcpFlags.Cwr | TcpFlags.Ae));
        (HostPortOf, HostIss, HostNext, Next) = (syn.From, syn.Seq, syn.Seq + 1, Iss);
        return connection;
    }

    /// <summary>Options of a SYN with everything that modern peers offer.</summary>
    public static TcpOptions Offer(bool timestamps = false, bool sack = false, int scale = -1, int mss = 1460)
    {
        var options = default(TcpOptions);
        if (mss > 0) options.Mss = (ushort)mss;
        if (sack) options.SackPermitted = true;
        if (scale >= 0) options.WindowScale = new WindowScale(scale);
        if (timestamps) options.SetTimestamps(1_000, 0);
        return options;
    }

    public TcpState State(TcpHandle connection) => Tcp.GetStatus(connection).State;

    public void Write(TcpHandle connection, int length)
    {
        Assert.Equal(length, Tcp.Send(connection, new byte[length], Now));
        Pump();
    }

    /// <summary>Reads all that is there (or as much as is said) and checks that it is the peer's stream from <paramref name="from"/> on.</summary>
    public void AssertReads(TcpHandle connection, int length, int from = 0, bool max = false)
    {
        var buffer = new byte[max ? length : length + 1];
        Assert.Equal(length, Tcp.Receive(connection, buffer, Now));
        for (var i = 0; i < length; i++) Assert.Equal(Transfer.Pattern(from + i), buffer[i]);
        Pump();
    }

    public SocketError ErrorOf(TcpHandle connection)
    {
        Pump();
        Assert.True(Host.Seen.TryGetValue(connection, out var seen) && (seen.Events & TcpEvents.Closed) != 0, "the connection has not ended");
        return seen.Error;
    }

    public void Dispose() => Host.Dispose();
}
