// What runs on a simulated host, from one restart to the next: each life has a task and a token of its own. What its code throws while it is meant to run ends
// the run of the network; what it throws because its host went down concerns nobody.
namespace Peregrine.Simulation.Networks;

internal sealed class HostedApplication(NetworkHost host, Func<NetworkHost, CancellationToken, Task> code, SimulationContext context)
{
    private CancellationTokenSource? _life;

    /// <summary>Begins a life: with what the network does next.</summary>
    public void Start()
    {
        var life = _life = new CancellationTokenSource();
        context.Post(_ => _ = LiveAsync(life), null);
    }

    /// <summary>Ends the life: its code is told, and what its sockets wait for fails.</summary>
    public void Stop() => _life?.Cancel();

    private async Task LiveAsync(CancellationTokenSource life)
    {
        if (life.IsCancellationRequested) return;
        try
        {
            await code(host, life.Token);
        }
        catch (Exception e)
        {
            if (!life.IsCancellationRequested) context.Fail(e);
        }
    }
}
