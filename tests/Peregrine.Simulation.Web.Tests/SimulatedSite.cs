// An ASP.NET Core application on a simulated host, without logs and without a wait at its end.
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Peregrine.Kestrel;
using Peregrine.Simulation.Networks;

namespace Peregrine.Simulation.Web.Tests;

internal static class SimulatedSite
{
    internal static async Task<WebApplication> StartAsync(NetworkHost host, Action<WebApplication> map, Action<IServiceCollection>? services = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseNetwork(host).UseUrls("http://*:80");
        services?.Invoke(builder.Services);
        var app = builder.Build();
        map(app);
        await app.StartAsync();
        return app;
    }
}
