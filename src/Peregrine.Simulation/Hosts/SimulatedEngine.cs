// The engine beneath sockets on a simulated host: the same Sockets code as under the real host, its mailbox a queue, its turns the host's. The core's
// thread is whichever runs the host's turn, while it does; all else comes through the mailbox, and wakes the host at the same instant.
using Peregrine.Core;
using Peregrine.Core.Time;
using Peregrine.Sockets;

namespace Peregrine.Simulation.Hosts;

internal sealed class SimulatedEngine(SimulatedHost host, NetworkStack stack) : SocketEngine(stack)
{
    private readonly Queue<EngineCommand> _mailbox = new();
    private readonly Queue<IThreadPoolWorkItem> _elsewhere = new();

    /// <summary>What a call-back threw last; the host ends the world with it.</summary>
    internal Exception? Unhandled { get; private set; }

    internal bool IsIdle => _mailbox.Count == 0 && _elsewhere.Count == 0 && !HasWork;

    public override bool TryPost(in EngineCommand command)
    {
        if (IsStopped) return false;
        using var turn = host.World.Enter();
        _mailbox.Enqueue(command);
        host.Wake();
        return true;
    }

    public override void RunElsewhere(IThreadPoolWorkItem item)
    {
        using var turn = host.World.Enter();
        // A host that is down, or has another engine by now, has no turns for this one.
        if (IsStopped)
        {
            host.World.After(Duration.Zero, item.Execute);
            return;
        }
        _elsewhere.Enqueue(item);
        host.Wake();
    }

    public override void OnUnhandled(Exception exception, object callback) => Unhandled ??= exception;

    /// <summary>One turn's share of what was posted and put off.</summary>
    internal void Turn(Instant now)
    {
        AttachThread();
        try
        {
            BeginTurn(now);
            for (var left = _mailbox.Count; left > 0; left--) Execute(_mailbox.Dequeue());
            Dispatch(now);
        }
        finally
        {
            DetachThread();
        }
        for (var left = _elsewhere.Count; left > 0; left--) _elsewhere.Dequeue().Execute();
    }

    /// <summary>The host loses everything: what pends ends with an error, and nothing more is taken. The stack lives on until this has returned.</summary>
    internal void Crash(Instant now)
    {
        AttachThread();
        try
        {
            BeginTurn(now);
            while (_mailbox.TryDequeue(out var command)) Execute(command);
            Stop();
        }
        finally
        {
            DetachThread();
        }
        while (_elsewhere.TryDequeue(out var item)) item.Execute();
    }

    // The host has its turn only when its caller lets time pass, and the caller waits: so what is in the mailbox is done here and now.
    protected override void OnCallerWaits()
    {
        using var turn = host.World.Enter();
        AttachThread();
        try
        {
            BeginTurn(host.ReadClock());
            while (_mailbox.TryDequeue(out var command)) Execute(command);
        }
        finally
        {
            DetachThread();
        }
    }

    protected override void WaitForRoom(int attempt) => OnCallerWaits();
}
