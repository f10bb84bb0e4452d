// The one line that puts an ASP.NET Core application onto the stack: registrations, and no behaviour of its own.
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Peregrine.Kestrel;

namespace Peregrine.AspNetCore;

/// <summary>Puts ASP.NET Core onto Peregrine.</summary>
public static class PeregrineWebHostExtensions
{
    /// <summary>The configuration section that is read: "Peregrine".</summary>
    public const string ConfigurationSection = "Peregrine";

    /// <summary>
    /// Has Kestrel listen on a Peregrine network instead of the kernel's. Settings come from the configuration section "Peregrine", then from
    /// <paramref name="configure"/>. The network starts with the server and ends after it.
    /// </summary>
    /// <param name="builder">The web host's builder.</param>
    /// <param name="configure">Changes the options, or null.</param>
    public static IWebHostBuilder UsePeregrine(this IWebHostBuilder builder, Action<PeregrineHostOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.ConfigureServices((context, services) => services.AddPeregrine(context.Configuration.GetSection(ConfigurationSection), configure));
    }

    /// <summary>Registers the network, its <see cref="PeregrineHost"/>, and the transport. <see cref="UsePeregrine"/> calls this.</summary>
    /// <param name="services">The services.</param>
    /// <param name="section">Configuration with settings, or null.</param>
    /// <param name="configure">Changes the options, or null.</param>
    public static IServiceCollection AddPeregrine(this IServiceCollection services, IConfiguration? section = null, Action<PeregrineHostOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton(provider =>
        {
            var options = new PeregrineHostOptions();
            if (section != null) HostConfiguration.Apply(section, options);
            configure?.Invoke(options);
            return new PeregrineHost(options, provider.GetService<ILoggerFactory>());
        });
        services.TryAddSingleton(static provider =>
            new KestrelTransport(provider.GetRequiredService<PeregrineHost>().NetworkAsync, provider.GetService<IMemoryPoolFactory<byte>>()));
        services.AddSingleton<IConnectionListenerFactory>(static provider => provider.GetRequiredService<KestrelTransport>());
        services.TryAddSingleton<IConnectionFactory>(static provider => provider.GetRequiredService<KestrelTransport>());
        return services;
    }
}
