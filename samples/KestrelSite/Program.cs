// ASP.NET Core on Peregrine. One line puts Kestrel onto the stack; appsettings.json says on which link and with what addresses.
// Run as root, then from another terminal: curl http://192.0.2.2:5000/
using Peregrine.AspNetCore;

var builder = WebApplication.CreateBuilder(args);
builder.WebHost.UsePeregrine();
builder.Services.AddHttpClient("peregrine").ConfigurePrimaryHttpMessageHandler(static services => services.GetRequiredService<PeregrineHost>().CreateHttpHandler());

var app = builder.Build();
app.MapGet("/", static (HttpContext context) => $"Hello {context.Connection.RemoteIpAddress}, this is {context.Request.Protocol} over Peregrine.\n");
// A client over the same network: fetches a page of another host, or of this one.
app.MapGet("/fetch", static async (IHttpClientFactory clients, string url) => await clients.CreateClient("peregrine").GetStringAsync(new Uri(url)));
await app.RunAsync();
