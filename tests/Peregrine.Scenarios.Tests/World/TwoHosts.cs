// Two hosts and the wire between them, driven in virtual time. Written so that a simulator of its own can take the scenarios over:
// a scenario names faults, applications and what must hold, and never a clock or a thread.
using System.Net.Sockets;
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests.World;

public sealed class TwoHosts : IDisposable
{
    public TwoHosts(ulong seed = 1, WireOptions? wire = null, StackOptions? options = null, StackOptions? optionsB = null)
    {
        Now = new Instant(1_000_000_000);
        A = new Host("a", 1, options ?? Host.SmallOptions, seed * 100 + 1, Now);
        B = new Host("b", 2, optionsB ?? options ?? Host.SmallOptions, seed * 100 + 2, Now);
        AtoB = new VirtualWire(wire ?? new WireOptions(), seed * 7 + 1);
        BtoA = new VirtualWire(wire ?? new WireOptions(), seed * 7 + 2);
    }

    public Host A { get; }

    public Host B { get; }

    public VirtualWire AtoB { get; }

    public VirtualWire BtoA { get; }

    public Instant Now { get; private set; }

    /// <summary>Called once a turn: the applications.</summary>
    public Action? OnTurn { get; set; }

    /// <summary>Runs until the condition holds; false when the virtual time is used up first.</summary>
    public bool RunUntil(Func<bool> condition, Duration limit)
    {
        var end = Now + limit;
        for (var idle = 0; ; )
        {
            if (condition()) return true;
            OnTurn?.Invoke();
            var busy = Step();
            if (busy)
            {
                // A stack that is busy for ever without time passing is as bad as one that hangs.
                Assert.True(++idle < 1_000_000, "the world does not come to rest");
                continue;
            }
            idle = 0;
            if (condition()) return true;
            var next = Instant.Min(Instant.Min(AtoB.NextArrival, BtoA.NextArrival), Instant.Min(A.Stack.NextDeadline(Now), B.Stack.NextDeadline(Now)));
            if (next > end || next.IsNever)
            {
                Now = Instant.Min(end, next);
                return condition();
            }
            Now = next > Now ? next : Now + new Duration(1_000);
        }
    }

    public void Run(Duration time) => RunUntil(() => false, time);

    public void AssertRunUntil(Func<bool> condition, Duration limit, string what) =>
        Assert.True(RunUntil(condition, limit), $"{what} did not happen in {limit} of virtual time (now {Now})");

    /// <summary>A listens-and-accepts, B connects; both established.</summary>
    public (TcpHandle Client, TcpHandle Server) Open(ushort port = 80, bool v6 = false, TcpSettings? client = null, TcpSettings? server = null)
    {
        Assert.Equal(SocketError.Success, B.Tcp.Listen(new TcpListenOptions(new Endpoint(v6 ? B.AddressV6 : B.Address, port), 64, false, server), out var listener));
        Assert.Equal(SocketError.Success, A.Tcp.Connect(new TcpConnectOptions(new Endpoint(v6 ? B.AddressV6 : B.Address, port), default, client), Now, out var c));
        TcpHandle s = default;
        AssertRunUntil(() => s.IsValid || B.Tcp.TryAccept(listener, out s), Duration.FromSeconds(300), "the handshake");
        AssertRunUntil(() => A.Tcp.GetStatus(c).State == TcpState.Established, Duration.FromSeconds(60), "the client's side");
        B.Tcp.CloseListener(listener, Now);
        return (c, s);
    }

    /// <summary>Closes what is open, runs past TIME-WAIT and checks that both hosts hold what they held at the start.</summary>
    public void CloseAndAssertNothingLeaked(params (Host Host, TcpHandle Handle)[] open)
    {
        foreach (var (host, handle) in open) host.Tcp.Close(handle, Now);
        AtoB.Options = BtoA.Options = new WireOptions();
        AtoB.DropWhen = BtoA.DropWhen = null;
        Run(Duration.FromSeconds(1200));
        A.AssertNothingLeaked();
        B.AssertNothingLeaked();
        Assert.Equal(0, A.Tcp.TimeWaitCount);
        Assert.Equal(0, B.Tcp.TimeWaitCount);
    }

    public void Dispose()
    {
        A.Dispose();
        B.Dispose();
    }

    private bool Step()
    {
        var busy = false;
        while (AtoB.TryReceive(Now, out var frame))
        {
            B.Deliver(frame, Now);
            busy = true;
        }
        while (BtoA.TryReceive(Now, out var frame))
        {
            A.Deliver(frame, Now);
            busy = true;
        }
        busy |= A.Turn(Now, AtoB);
        busy |= B.Turn(Now, BtoA);
        return busy;
    }
}
