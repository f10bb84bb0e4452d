// What runs on a host of a swarm's world: a server, the clients' ends of conversations, and datagrams with an echo. Whether on the stack's own calls or on
// sockets is for whoever derives from it.
using System.Buffers.Binary;
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Simulation.Hosts;

namespace Peregrine.Simulation.Traffic;

internal abstract class HostTraffic(TrafficState traffic, SimulatedHost host) : IHostApplication
{
    public const ushort Port = 80;
    public const ushort DatagramPort = 7;

    public SimulatedHost Host { get; } = host;

    public TrafficState Traffic { get; } = traffic;

    public SimulatedWorld World => Traffic.World;

    public byte[] Buffer { get; } = new byte[16_384];

    /// <summary>Faults have stopped: nobody is slow any more.</summary>
    public bool IsCalm { get; set; }

    /// <summary>Whether strangers speak to this host.</summary>
    public bool HasRogues { get; set; }

    /// <summary>A server that does not accept for now: its queue fills.</summary>
    public abstract bool IsNotAccepting { get; set; }

    /// <summary>Ends of conversations that are not over.</summary>
    public abstract int EndCount { get; }

    public abstract void OnStart(SimulatedHost host, Instant now);

    public abstract void OnRestart(SimulatedHost host);

    public virtual void OnEvent(SimulatedHost host, in TcpEvent e, Instant now)
    {
    }

    public virtual void OnEvent(SimulatedHost host, in UdpEvent e, Instant now)
    {
    }

    public virtual bool OnTurn(SimulatedHost host, Instant now) => false;

    /// <summary>Begins a conversation.</summary>
    public Flow Connect(FlowPlan plan)
    {
        var flow = Traffic.Add(plan);
        if (Host.IsRunning)
        {
            Open(flow);
            Host.Wake();
        }
        else
        {
            flow.Excuses |= Excuse.Restart;
            flow.Done(isClient: true, SocketError.NetworkDown);
        }
        return flow;
    }

    /// <summary>Sends a datagram that names itself; whoever gets it echoes it.</summary>
    public abstract void SendDatagram(SimulatedHost to, bool isV6, int length);

    /// <summary>Listens, unless it does already.</summary>
    public abstract void Listen();

    /// <summary>Closes the listener; who waits to be accepted is reset.</summary>
    public abstract void StopListening();

    /// <summary>Takes what waits to be accepted, unless it is not accepting.</summary>
    public abstract void Accept(Instant now);

    /// <summary>Ends those whose peer will never come back: excused flows, and connections that never said what they are.</summary>
    public abstract void AbortExcused();

    /// <summary>Closes what is not a conversation: the end of the world.</summary>
    public abstract void Close();

    /// <summary>What ends of conversations wait for, a line each: for a failure's report.</summary>
    public virtual IEnumerable<string> Describe() => [];

    /// <summary>The flow that a connection named with its first bytes; null when the connection is to be aborted.</summary>
    /// <exception cref="SimulationFailureException">Nobody has sent such bytes.</exception>
    public Flow? Claim(ReadOnlySpan<byte> header)
    {
        var named = Traffic.Find(header);
        if (named is null)
        {
            // Whoever opened this is no client of ours: an adversary, who gets nothing.
            if (HasRogues) return null;
            throw World.Failure("delivered bytes", Host.Name, "a connection began with bytes that nobody has sent");
        }
        if (named.IsServerAccepted || named.Plan.Server != Host || named.IsClientDone)
        {
            // A second connection of the same flow: SYN cookies allow a duplicated ACK to make one. Or the client has gone.
            named.Excuses |= named.IsServerAccepted ? Excuse.None : Excuse.NeverAccepted;
            return null;
        }
        named.IsServerAccepted = true;
        named.ServerReceived = Flow.HeaderBytes;
        return named;
    }

    /// <summary>Begins a conversation from here; the host runs.</summary>
    protected abstract void Open(Flow flow);

    /// <summary>Connections that wait to be accepted go without a server's end that could say so.</summary>
    protected void ExcuseUnaccepted(Excuse excuse)
    {
        foreach (var flow in Traffic.Flows)
        {
            if (flow.Plan.Server == Host && !flow.IsDone && !flow.IsServerAccepted) flow.Excuses |= excuse;
        }
    }

    /// <summary>Writes the next datagram.</summary>
    protected Span<byte> MakeDatagram(int length)
    {
        var bytes = Buffer.AsSpan(0, Math.Max(length, 8));
        var id = (int)(Traffic.DatagramsSent & 0xFFFF);
        BinaryPrimitives.WriteInt32BigEndian(bytes, id);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[4..], (ushort)bytes.Length);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[6..], 0);
        for (var done = 8; done < bytes.Length;)
        {
            var part = Pattern.At(id, 2, done, bytes.Length - done);
            part.CopyTo(bytes[done..]);
            done += part.Length;
        }
        return bytes;
    }

    /// <summary>A datagram has come: true when it is to be sent back, as it is now.</summary>
    /// <exception cref="SimulationFailureException">Nobody has sent it.</exception>
    protected bool TakeDatagram(Span<byte> bytes)
    {
        Traffic.DatagramsReceived++;
        var good = bytes.Length >= 8 && BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]) == bytes.Length;
        var id = good ? BinaryPrimitives.ReadInt32BigEndian(bytes) : 0;
        good = good && Pattern.FirstWrong(id & 0xFFFF, 2, 8, bytes[8..]) < 0;
        World.Judged.BytesVerified += bytes.Length;
        if (!good)
        {
            if (HasRogues) return false;
            throw World.Failure("delivered bytes", Host.Name, $"a datagram of {bytes.Length} bytes is none that was sent");
        }
        if (BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]) != 0) return false;
        bytes[7] = 1;
        return true;
    }
}
