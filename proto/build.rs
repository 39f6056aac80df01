//! Compiles the protocol with protox (no protoc needed) and writes, for each service, one trait and
//! two bindings of it: tonic's gRPC and the framed one. See `src/lib.rs` for how they fit together.

use std::fmt::Write as _;
use std::path::PathBuf;

use prost_build::{Method, Service, ServiceGenerator};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["wolfdisk/v1/meta.proto", "wolfdisk/v1/chunk.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.service_generator(Box::new(Bindings {
        grpc: tonic_prost_build::configure()
            .build_client(true)
            .service_generator(),
        next_service: 1,
    }));
    config.out_dir(PathBuf::from(std::env::var("OUT_DIR")?));
    config.compile_fds(descriptors)?;
    Ok(())
}

struct Bindings {
    grpc: Box<dyn ServiceGenerator>,
    next_service: u8,
}

impl ServiceGenerator for Bindings {
    fn generate(&mut self, service: Service, buf: &mut String) {
        let number = self.next_service;
        self.next_service += 1;
        write_trait(&service, buf);
        write_grpc_adapter(&service, buf);
        write_framed(&service, number, buf);
        self.grpc.generate(service, buf);
    }

    fn finalize(&mut self, buf: &mut String) {
        self.grpc.finalize(buf);
    }
}

fn write_trait(service: &Service, buf: &mut String) {
    let name = &service.name;
    let docs = comment(&service.comments.leading, "");
    let _ = writeln!(
        buf,
        "{docs}pub trait {name}Service: Send + Sync + 'static {{"
    );
    let _ = writeln!(
        buf,
        "    /// What it counts.\n    fn calls(&self) -> &crate::calls::Calls;"
    );
    for Method {
        name,
        input_type,
        output_type,
        comments,
        ..
    } in &service.methods
    {
        let docs = comment(&comments.leading, "    ");
        let _ = writeln!(
            buf,
            "{docs}    fn {name}(&self, call: &mut crate::call::Call, request: {input_type}) -> impl \
             std::future::Future<Output = Result<{output_type}, crate::failure::Failure>> + Send;"
        );
    }
    let _ = writeln!(buf, "}}");
}

fn write_grpc_adapter(service: &Service, buf: &mut String) {
    let name = &service.name;
    let module = format!("{}_server", name.to_lowercase());
    let _ = writeln!(
        buf,
        "/// The gRPC binding of [`{name}Service`].\n\
         pub struct {name}OverGrpc<S>(pub std::sync::Arc<S>);\n\
         #[tonic::async_trait]\n\
         impl<S: {name}Service> {module}::{name} for {name}OverGrpc<S> {{"
    );
    for (
        method,
        Method {
            name,
            input_type,
            output_type,
            ..
        },
    ) in service.methods.iter().enumerate()
    {
        let _ = writeln!(
            buf,
            "    async fn {name}(&self, request: tonic::Request<{input_type}>) -> \
             Result<tonic::Response<{output_type}>, tonic::Status> {{\n\
                 let mut call = crate::call::Call::grpc(request.extensions());\n\
                 let running = self.0.calls().begin({});\n\
                 let answer = self.0.{name}(&mut call, request.into_inner()).await;\n\
                 running.end(&answer);\n\
                 answer.map(tonic::Response::new).map_err(tonic::Status::from)\n\
             }}",
            method + 1
        );
    }
    let _ = writeln!(buf, "}}");
}

fn write_framed(service: &Service, number: u8, buf: &mut String) {
    let name = &service.name;
    let methods: Vec<&str> = service
        .methods
        .iter()
        .map(|method| method.name.as_str())
        .collect();
    let _ = writeln!(
        buf,
        "/// The methods of [`{name}Service`] in the order of their numbers in frames, from 1.\n\
         pub const {}_METHODS: &[&str] = &{methods:?};",
        name.to_uppercase()
    );
    let _ = writeln!(
        buf,
        "/// The number of [`{name}Service`] in frames and in handshakes.\n\
         pub const {}_SERVICE: u8 = {number};",
        name.to_uppercase()
    );
    let _ = writeln!(
        buf,
        "/// The framed binding of [`{name}Service`]: the answering side.\n\
         pub struct {name}Framed<S>(pub std::sync::Arc<S>);\n\
         impl<S> Clone for {name}Framed<S> {{ fn clone(&self) -> Self {{ Self(self.0.clone()) }} }}\n\
         impl<S: {name}Service> crate::framed::Dispatch for {name}Framed<S> {{\n\
             const SERVICE: u8 = {number};\n\
             const NAME: &'static str = \"{name}\";\n\
             fn calls(&self) -> &crate::calls::Calls {{ self.0.calls() }}\n\
             async fn dispatch(&self, call: &mut crate::call::Call, method: u8, body: bytes::Bytes) -> \
             Result<Vec<u8>, crate::failure::Failure> {{\n\
                 let running = self.0.calls().begin(method);\n\
                 let answer = self.answer(call, method, body).await;\n\
                 running.end(&answer);\n\
                 answer\n\
             }}\n\
         }}\n\
         impl<S: {name}Service> {name}Framed<S> {{\n\
             async fn answer(&self, call: &mut crate::call::Call, method: u8, body: bytes::Bytes) -> \
             Result<Vec<u8>, crate::failure::Failure> {{\n\
                 match method {{"
    );
    for (method, Method { name, .. }) in service.methods.iter().enumerate() {
        let _ = writeln!(
            buf,
            "{} => {{ let request = crate::framed::decode(body)?; \
             let reply = self.0.{name}(call, request).await?; Ok(crate::framed::encode(&reply)) }}",
            method + 1
        );
    }
    let _ = writeln!(
        buf,
        "other => Err(crate::failure::Failure::unknown_method(<Self as crate::framed::Dispatch>::NAME, other)),\n}}\n}}\n}}\n\
         /// The framed binding of [`{name}Service`]: the asking side, blocking.\n\
         #[derive(Clone, Debug)]\n\
         pub struct {name}Client<C>(pub C);\n\
         impl<C: crate::call::Caller> {name}Client<C> {{"
    );
    for (
        method,
        Method {
            name,
            input_type,
            output_type,
            comments,
            ..
        },
    ) in service.methods.iter().enumerate()
    {
        let docs = comment(&comments.leading, "    ");
        let _ = writeln!(
            buf,
            "{docs}    /// # Errors\n    /// What the server answered, or why it could not be asked.\n\
             pub fn {name}(&self, options: &mut crate::call::Options, request: &{input_type}) -> \
             Result<{output_type}, crate::failure::Failure> {{\n\
                 let body = self.0.call(options, {number}, {}, &crate::framed::encode(request))?;\n\
                 crate::framed::decode(body)\n\
             }}",
            method + 1
        );
    }
    let _ = writeln!(buf, "}}");
    write_async_client(service, number, buf);
}

fn write_async_client(service: &Service, number: u8, buf: &mut String) {
    let name = &service.name;
    let _ = writeln!(
        buf,
        "/// The framed binding of [`{name}Service`]: the asking side, without blocking.\n\
         #[derive(Clone, Debug)]\n\
         pub struct {name}AsyncClient<C>(pub C);\n\
         impl<C: crate::call::AsyncCaller> {name}AsyncClient<C> {{"
    );
    for (
        method,
        Method {
            name,
            input_type,
            output_type,
            comments,
            ..
        },
    ) in service.methods.iter().enumerate()
    {
        let docs = comment(&comments.leading, "    ");
        let _ = writeln!(
            buf,
            "{docs}    /// # Errors\n    /// What the server answered, or why it could not be asked in time.\n\
             pub async fn {name}(&self, within: std::time::Duration, request: &{input_type}) -> \
             Result<{output_type}, crate::failure::Failure> {{\n\
                 let body = self.0.call(within, {number}, {}, crate::framed::encode(request)).await?;\n\
                 crate::framed::decode(body)\n\
             }}",
            method + 1
        );
    }
    let _ = writeln!(buf, "}}");
}

fn comment(lines: &[String], indent: &str) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{indent}/// {}", line.trim());
        text
    })
}
