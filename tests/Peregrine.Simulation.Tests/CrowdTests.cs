// Large worlds, in a small form; `peregrine simulate crowd` runs the large one.
using Peregrine.Simulation.Swarm;

namespace Peregrine.Simulation.Tests;

public sealed class CrowdTests
{
    [Fact]
    public void AThousandConnectionsAreOpenTogetherAndAllEnd()
    {
        using var world = new CrowdWorld(seed: 1, hostCount: 20, connectionCount: 1_000);
        world.Run();
        Assert.Equal(2_000, world.OpenEndCount);
        Assert.All(world.Traffic.Flows, static flow => Assert.Equal((flow.ClientTotal, flow.Plan.ServerBytes), (flow.ServerReceived, flow.ClientReceived)));
        Assert.True(world.World.Judged.Connections > 100_000, $"{world.World.Judged.Connections}");
    }
}
