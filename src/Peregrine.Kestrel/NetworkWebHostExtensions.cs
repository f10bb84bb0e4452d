// Kestrel on a network that is there already: a simulated host, or one that the program has started itself.
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Peregrine.Sockets;

namespace Peregrine.Kestrel;

/// <summary>Puts ASP.NET Core onto a network that is there already.</summary>
public static class NetworkWebHostExtensions
{
    /// <summary>
    /// Has Kestrel listen on a network, and gives the application the network's <see cref="Network.TimeProvider"/> where it has none of its own. The
    /// network lives on when the server stops.
    /// </summary>
    /// <param name="builder">The web host's builder.</param>
    /// <param name="network">The network.</param>
    public static IWebHostBuilder UseNetwork(this IWebHostBuilder builder, Network network)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(network);
        return builder.ConfigureServices(services =>
        {
            services.TryAddSingleton(network.TimeProvider);
            services.AddHostedService<StopBeforeDisposal>();
            services.AddSingleton<IConnectionListenerFactory>(provider =>
                new KestrelTransport(_ => ValueTask.FromResult(network), provider.GetService<IMemoryPoolFactory<byte>>()));
        });
    }
}
