// The test: two customers and a shop, one partition that heals, all from a seed; and what must hold whatever happens.
using Peregrine.Kestrel;
using Peregrine.Simulation.Networks;

namespace RetryUnderPartition;

/// <summary>What a seed led to.</summary>
/// <param name="Placed">Orders that customers were told are placed.</param>
/// <param name="Booked">Orders in the shop's books.</param>
/// <param name="Story">What happened when, in virtual time.</param>
internal sealed record Trial(IReadOnlyList<string> Placed, IReadOnlyList<string> Booked, string Story)
{
    /// <summary>Every order that was placed is booked once.</summary>
    public bool IsRight => Placed.Order().SequenceEqual(Booked.Order());

    public static async Task<Trial> RunAsync(ulong seed, bool sendsKeys)
    {
        using var network = new SimulatedNetwork(seed);
        var host = network.AddHost("shop").Delay(TimeSpan.FromMilliseconds(15));
        var (story, placed, shop) = (new StringWriter(), new List<string>(), new Shop());

        // Somewhere in these eight seconds the shop is cut off, for up to two and a half.
        var start = TimeSpan.FromMilliseconds(network.World.Random.Between(500, 8_000));
        var length = TimeSpan.FromMilliseconds(network.World.Random.Between(200, 2_500));
        network.World.After(start, () =>
        {
            Log("-- the shop is cut off --");
            network.Partition(host);
        });
        network.World.After(start + length, () =>
        {
            Log("-- and back again --");
            network.Heal();
        });

        await network.RunWithThreadPoolAsync(async () =>
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseNetwork(host).UseUrls("http://*:80");
            await using var app = builder.Build();
            shop.Map(app);
            await app.StartAsync();
            await Task.WhenAll(ShopAsync(network.AddHost("anne")), ShopAsync(network.AddHost("bert").Jitter(TimeSpan.FromMilliseconds(20))));
            await app.StopAsync();
        });
        return new Trial(placed, [.. shop.Booked], story.ToString());

        async Task ShopAsync(NetworkHost customer)
        {
            using var http = customer.CreateHttpClient(timeout: TimeSpan.FromSeconds(2));
            var client = new ShopClient(http, sendsKeys);
            for (var i = 1; i <= 20; i++)
            {
                await client.PlaceAsync($"{customer.Name}'s order {i}", Log);
                placed.Add($"{customer.Name}'s order {i}");
                await Task.Delay(TimeSpan.FromMilliseconds(400), customer.TimeProvider);
            }
        }

        void Log(string what) => story.WriteLine($"  {network.TimeProvider.GetUtcNow():mm:ss.ffffff} {what}");
    }
}
