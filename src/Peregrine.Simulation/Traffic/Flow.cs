// A conversation as it goes: both ends, what they have sent and received, and what may excuse its failing. A failure that nothing excuses
// is the stack's.
using System.Net.Sockets;
using Peregrine.Core.Time;

namespace Peregrine.Simulation.Traffic;

/// <summary>Why a conversation may end otherwise than planned.</summary>
[Flags]
internal enum Excuse : byte
{
    None = 0,

    /// <summary>An end aborted or let go in the middle.</summary>
    Application = 1,

    /// <summary>A host lost its state.</summary>
    Restart = 2,

    /// <summary>An end gave up: nothing was acknowledged for as long as it may wait.</summary>
    TimedOut = 4,

    /// <summary>Refused, unreachable or out of memory.</summary>
    Refused = 8,

    /// <summary>The server never took the connection, or took it after the client had gone.</summary>
    NeverAccepted = 16,

    /// <summary>Somebody hostile hit a window that asks for no more.</summary>
    Guess = 32,
}

internal sealed class Flow(TrafficState traffic, int id, FlowPlan plan)
{
    public const int HeaderBytes = 8;

    public int Id { get; } = id;

    public FlowPlan Plan { get; } = plan;

    public Instant Started { get; } = traffic.World.Now;

    public Excuse Excuses { get; set; }

    public long ClientSent { get; set; }

    public long ServerSent { get; set; }

    public long ClientReceived { get; set; }

    public long ServerReceived { get; set; }

    private Instant ServerStarted { get; } = plan.Server.Clock.Local(traffic.World.Now);

    // A half-open connection without an answer, and a cookie, last for about a minute of the server's.
    private bool IsHandshakeOld => Plan.Server.Clock.Local(traffic.World.Now) - ServerStarted > Duration.FromSeconds(50);

    public bool IsClientDone { get; private set; }

    public bool IsServerDone { get; private set; }

    public bool IsServerAccepted { get; set; }

    /// <summary>Ends whose connection has ended in good order: everything is there, though a slow reader may not have read it yet.</summary>
    public bool IsClientClosed { get; set; }

    public bool IsServerClosed { get; set; }

    /// <summary>The ends, where they are on sockets: their methods hear of a connection's end later than it comes.</summary>
    public SocketEnd? ClientOnSockets { get; set; }

    public SocketEnd? ServerOnSockets { get; set; }

    public bool IsDone => Plan.IsRogue || (IsClientDone && (IsServerDone || !IsServerAccepted));

    public long ClientTotal => HeaderBytes + Plan.ClientBytes;

    /// <summary>Bytes that an end may have sent by now: all, or as many requests or answers as it is its turn for.</summary>
    public long MaySend(bool isClient)
    {
        if (Plan.Kind == FlowKind.BothWays || Plan.Rounds == 0) return isClient ? ClientTotal : Plan.ServerBytes;
        int request = Plan.ClientBytes / Plan.Rounds, answer = Plan.ServerBytes / Plan.Rounds;
        if (isClient)
        {
            var rounds = answer == 0 ? Plan.Rounds : Math.Min(Plan.Rounds, (ClientReceived / answer) + 1);
            return rounds == Plan.Rounds ? ClientTotal : HeaderBytes + (rounds * request);
        }
        var asked = ServerReceived >= ClientTotal ? Plan.Rounds : request == 0 ? Plan.Rounds : Math.Max(0, ServerReceived - HeaderBytes) / request;
        return asked >= Plan.Rounds ? Plan.ServerBytes : asked * answer;
    }

    public long Total(bool isClient) => isClient ? ClientTotal : Plan.ServerBytes;

    /// <summary>The bytes that come next in one direction, at most so many.</summary>
    public ReadOnlySpan<byte> Next(bool isClient, long position, int length)
    {
        if (!isClient || position >= HeaderBytes) return Pattern.At(Id, isClient ? 0 : 1, position, length);
        return traffic.HeaderOf(Id)[(int)position..];
    }

    /// <summary>Bytes that an end has received: the right ones?</summary>
    public void Received(bool isClient, ReadOnlySpan<byte> bytes)
    {
        if (Plan.IsRogue) return;
        var position = isClient ? ClientReceived : ServerReceived;
        traffic.World.Judged.BytesVerified += bytes.Length;
        var wrong = Pattern.FirstWrong(Id, isClient ? 1 : 0, position, bytes);
        if (wrong >= 0) throw Failure("delivered bytes", isClient, $"byte {position + wrong} is not what was sent");
        if (isClient) ClientReceived += bytes.Length;
        else ServerReceived += bytes.Length;
        var (now, sent) = isClient ? (ClientReceived, ServerSent) : (ServerReceived, ClientSent);
        if (now > sent) throw Failure("delivered bytes", isClient, $"{now} bytes were received and {sent} sent");
    }

    /// <summary>The peer has ended its stream.</summary>
    public void EndOfStream(bool isClient)
    {
        var (received, total) = isClient ? (ClientReceived, (long)Plan.ServerBytes) : (ServerReceived, ClientTotal);
        if (received != total && Excuses == Excuse.None) throw Failure("delivered bytes", isClient, $"the stream ended after {received} of {total} bytes");
    }

    /// <summary>An end is through, as planned or by an error.</summary>
    public void Done(bool isClient, SocketError error)
    {
        if (isClient ? IsClientDone : IsServerDone || Plan.IsRogue) return;
        if (isClient) IsClientDone = true;
        else IsServerDone = true;
        traffic.Ended(error);
        if (error == SocketError.Success) return;
        ClientOnSockets?.TellEnd();
        ServerOnSockets?.TellEnd();
        var before = Excuses;
        switch (error)
        {
            case SocketError.TimedOut:
                Excuses |= Excuse.TimedOut;
                break;
            case SocketError.ConnectionReset when !Plan.IsCalm && HasArrived(isClient):
                // All has arrived, and only the last ACK was lost: the peer's TIME-WAIT gave way to others, or its clock ran away.
                Excuses |= Excuse.TimedOut;
                break;
            case SocketError.ConnectionReset when !IsServerAccepted && !Plan.IsCalm && IsHandshakeOld:
                // The server has forgotten the handshake: a client whose first segments were lost for so long belongs nowhere.
                Excuses |= Excuse.NeverAccepted;
                break;
            case SocketError.ConnectionReset when Plan.Client.Judge.HasMetGuess || Plan.Server.Judge.HasMetGuess:
                Excuses |= Excuse.Guess;
                break;
            case SocketError.ConnectionReset when before == Excuse.None && IsServerAccepted:
                throw Failure("no error out of nothing", isClient, "the connection was reset, and nobody did it");
            case SocketError.ConnectionReset when before == Excuse.None && !IsHandshakeOld:
                throw Failure("no error out of nothing", isClient, "the connection was reset before it was accepted, and nobody did it");
            case SocketError.ConnectionReset:
                Excuses |= IsServerAccepted ? Excuse.None : Excuse.NeverAccepted;
                break;
            case SocketError.ConnectionAborted or SocketError.OperationAborted:
                Excuses |= Excuse.Application;
                break;
            default:
                Excuses |= Excuse.Refused;
                break;
        }
        if (Plan.IsCalm && before == Excuse.None) throw Failure("liveness", isClient, $"ended with {error}, although all faults had stopped before it began");
    }

    // At both ends, whatever the other one's reader has read of it.
    private bool HasArrived(bool isClient) =>
        (ClientReceived == Plan.ServerBytes || (!isClient && IsClientClosed)) && (ServerReceived == ClientTotal || (isClient && IsServerClosed));

    public SimulationFailureException Failure(string judge, bool isClient, string what) => traffic.World.Failure(
        judge, $"flow {Id} {Plan.Client.Name}>{Plan.Server.Name} at the {(isClient ? "client" : "server")}", $"{what} ({this})");

    public override string ToString() =>
        $"flow {Id} {Plan.Client.Name}>{Plan.Server.Name} {Plan.Kind}/{Plan.Ending} sent {ClientSent} and {ServerSent}, "
        + $"received {ServerReceived} and {ClientReceived} of {ClientTotal} and {Plan.ServerBytes}, "
        + $"port {Plan.LocalPort}, v6 {Plan.IsV6}, lets go {Plan.LetsGo}, client done {IsClientDone}, server accepted {IsServerAccepted} done {IsServerDone}, excuses {Excuses}";
}
